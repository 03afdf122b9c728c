"""Rows of a project that does not use the plugin: an empty test, and the start of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .clock import Sample, Way
from .foreign import without_ledgers
from .instructions import counted
from .owner import Owner
from .pytest_run import Blocks, entry_point, private_state, project, run_once
from .row import Goal, Row, Unit

__all__ = ["ROWS", "SOURCES", "TESTS"]

TESTS = 500  # of a file
FILES = 4
BLOCK = 100
SOURCES = {
    "function": "".join(f"def test_{number}(): pass\n" for number in range(TESTS)),
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n"
    + "".join(f"    def test_{number}(self): pass\n" for number in range(TESTS)),
    "fixture": "import pytest\n@pytest.fixture\ndef value(): return 1\n"
    + "".join(f"def test_{number}(value): pass\n" for number in range(TESTS)),
}
BESIDE = ((0, "", ""), (1, "-ledger", ", beside a run that uses it"))
COUNT = Unit("thousand", 1e-3, of="integer")
ONE = "def test_one(): pass\n"


@contextmanager
def empty_tests(kind: str) -> Iterator[Mapping[str, Way]]:
    """Tests that do nothing."""
    with (
        project(SOURCES[kind], FILES) as folder,
        Blocks(folder, "-p", entry_point()) as ours,
        Blocks(folder) as peer,
    ):
        yield {"ours": ours, "peer": peer}


@contextmanager
def start_up(ledgers: int = 0) -> Iterator[Mapping[str, Way]]:
    """A run of one test, with this plugin, with none, with another one; *ledgers* is how many runs go on beside it."""
    with project(ONE, 1) as folder, ExitStack() as others:
        for _ in range(ledgers):
            others.enter_context(Owner("segment", 1, private_state(folder)))
        inside = without_ledgers()

        def way(*arguments: str) -> Way:
            run_once(folder, *arguments, inside=inside)  # writes bytecode
            return lambda _loops: run_once(folder, *arguments, inside=inside)[0]

        yield {
            "ours": way("-p", entry_point()),
            "peer": way("-p", "nothing"),
            "pytest-timeout": way("-p", "pytest_timeout"),
        }


@contextmanager
def modules(ledgers: int = 0) -> Iterator[Mapping[str, Way]]:
    """How many modules of ours a run imports that does not use them."""
    with project(ONE, 1) as folder, ExitStack() as others:
        for _ in range(ledgers):
            others.enter_context(Owner("segment", 1, private_state(folder)))
        inside = without_ledgers()

        def ours(_loops: int) -> Sample:
            number = run_once(folder, "-p", entry_point(), inside=inside)[1]
            return Sample(number, number)

        yield {"ours": ours}


@contextmanager
def instructions(tests: int) -> Iterator[Mapping[str, Way]]:
    """The instructions of a run of one test; or of each of many *tests*, less those of the run of one."""
    with project(SOURCES["function"], tests // TESTS) as many, project(ONE, 1) as one:

        def way(*arguments: str) -> Way:
            def count(folder: Path) -> int:
                return counted(lambda inside: run_once(folder, *arguments, inside=[*without_ledgers(), *inside]))

            def per_test(_loops: int) -> Sample:
                alone = count(one)
                found = (count(many) - alone) / (tests - 1) if tests > 1 else alone
                return Sample(found, found)

            return per_test

        yield {"ours": way("-p", entry_point()), "peer": way("-p", "nothing")}


ROWS = (
    *(
        Row(
            f"empty-{kind}",
            f"an empty test, plugin unused: {kind}",
            "pytest alone",
            Goal("ratio", 1.01),
            lambda kind=kind: empty_tests(kind),  # type: ignore[misc] # the variable's value now
            loops=BLOCK,
            patience=4,
        )
        for kind in SOURCES
    ),
    *(
        Row(
            f"start-up{suffix}",
            f"start-up of a run, plugin unused{condition}",
            "pytest alone",
            Goal("difference", 2),
            lambda ledgers=ledgers: start_up(ledgers),  # type: ignore[misc] # likewise
            unit=Unit("ms", 1e3),
            loops=1,
            patience=4,
        )
        for ledgers, suffix, condition in BESIDE
    ),
    Row(
        "empty-instructions",
        "instructions of an empty test, plugin unused",
        "pytest alone",
        Goal("ratio", 1.01),
        lambda: instructions(TESTS * FILES),
        unit=COUNT,
        loops=1,
        patience=0,
    ),
    Row(
        "start-up-instructions",
        "instructions of start-up, plugin unused",
        "pytest alone",
        None,
        lambda: instructions(1),
        unit=COUNT,
        loops=1,
        patience=0,
    ),
    *(
        Row(
            f"modules{suffix}",
            f"modules of ours in such a run{condition}",
            "",
            Goal("value", 8),
            lambda ledgers=ledgers: modules(ledgers),  # type: ignore[misc] # likewise
            unit=Unit("", 1, of="integer"),
            loops=1,
            patience=0,
        )
        for ledgers, suffix, condition in BESIDE
    ),
)
