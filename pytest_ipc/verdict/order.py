"""A pytest plugin for the suite alone: run it in any order. No clause may depend on another, and this is how one shows that."""

from __future__ import annotations

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ipc-shuffle", type=int, metavar="SEED", help="Run in the random order that SEED gives")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--ipc-shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)
