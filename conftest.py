"""For the project's own tests: pytest's fixture to test plugins with, and an option for a test that takes its time."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--killed-servers",
        type=int,
        default=3,
        metavar="NUMBER",
        help="kill a server with objects in so many tests (tests/leak_check/test_origins.py)",
    )
    parser.addoption(
        "--every-call",
        action="store_true",
        help="kill a run at each of its system calls, not only at some hundred (tests/custody/test_every_call.py)",
    )
    parser.addoption(
        "--every-fault",
        action="store_true",
        help="inject every fault and race, instead of every third fault and one race per check (tests/fault_injection)",
    )
    parser.addoption(
        "--every-limit",
        action="store_true",
        help="run the whole suite under each small limit, not some of it under a few (tests/small_limits)",
    )
    parser.addoption(
        "--random-kills",
        type=int,
        default=8,
        help="how many runs are killed at random, two of their processes each (tests/custody/test_random_kills.py)",
    )
