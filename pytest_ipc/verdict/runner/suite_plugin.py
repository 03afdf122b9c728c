"""A pytest plugin for the suite alone: its order, and the process state that is kept while it runs.

It can be run in any order, for no clause may depend on another, and this is how one shows that. By default the models are the
last: Hypothesis comes with them, 7 MB in the process, and a fork takes the longer the more memory there is to share. For the same
reason the garbage collector leaves alone what was there before the first clause: it writes in each object that it visits, and
every page it has written in is copied for the child.
"""

from __future__ import annotations

import gc
import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ipc-shuffle", type=int, metavar="SEED", help="Run in the random order that SEED gives")


def pytest_configure(config: pytest.Config) -> None:
    # In pytest's own form a traceback takes as much time as ten clauses, and nobody is shown it.
    config.option.tbstyle = "native"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--ipc-shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)
    else:
        items.sort(key=lambda item: item.path.stem.endswith("model"))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # for good: the process of a check, or a worker, ends with it
