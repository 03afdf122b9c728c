"""A pytest plugin for the suite alone: its order, and the process state that is kept while it runs.

The suite can run in any order, which shows that no clause depends on another. By default the models run last: they
import Hypothesis, 7 MB, and the time of a fork grows with the memory to share. For the same reason the garbage
collector ignores the objects from before the first clause: it writes to each object that it visits, and every written
page is copied for the child.
"""

from __future__ import annotations

import gc
import random

import pytest

from .stop import raise_again


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ipc-shuffle", type=int, metavar="SEED", help="Run in the random order of SEED")


def pytest_configure(config: pytest.Config) -> None:
    # A traceback in pytest's own form takes as much time as ten clauses, and is not shown.
    config.option.tbstyle = "native"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--ipc-shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)
    else:
        items.sort(key=lambda item: item.path.stem.endswith("model"))


def pytest_runtest_logstart() -> None:
    raise_again()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # never undone: the process of a check, or a worker, ends with it
