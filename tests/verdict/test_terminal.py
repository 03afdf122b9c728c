"""The output on a terminal at the end of a check."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pytest_ipc.verdict.reports import expectations
from pytest_ipc.verdict.reports.expectations import Expectation
from pytest_ipc.verdict.reports.terminal import Screen
from pytest_ipc.verdict.result import SuiteResult

from . import reports

RESULT = SuiteResult(
    [
        reports.result(id, verdict)
        for id, verdict in {
            "a.one": reports.DEVIATES,
            "a.two": reports.SEEN,
            "a.three": reports.HOLDS,
            "a.four": reports.ABSENT,
        }.items()
    ]
)


@pytest.fixture
def shown():
    """Return a function that shows RESULT with these expectations."""

    def show(strict: bool = False, **expected: Expectation) -> list[str]:
        out = io.StringIO()
        named = {f"a.{name}": expectation for name, expectation in expected.items()}
        Screen(Console(file=out, width=200)).end(RESULT, expectations.compare(RESULT, named, strict=strict))
        return [line.rstrip() for line in out.getvalue().splitlines()]

    return show


def test_result_without_expectations(shown):
    lines = shown()
    assert lines[-1] == "This platform deviates from the manual in 2 of 3 clauses that could be judged."
    assert not [line for line in lines if line.startswith("unexpected")]
    assert "          expected: EEXIST" in lines
    seen = lines.index("          seen at:  shm/test_shmget.py:42: shmget(key, 1, flags)")
    assert lines[seen + 1] == "          after:    shmget(5, 1, 1920) = 7"  # the last call; the report has the others


def test_result_with_one_expected_deviation(shown):
    lines = shown(one=Expectation("deviates", "issue 1"))
    assert "          expected of this platform: issue 1" in lines
    assert "unexpected a.two deviates" in lines
    assert lines[-1].endswith("2 of 3 clauses that could be judged, and 1 of them are expected.")


def test_result_with_a_clause_that_unexpectedly_holds(shown):
    known = Expectation("deviates", "issue 1")
    lines = shown(one=known, two=known, three=known)
    assert "unexpectedly holds a.three was expected to deviate (issue 1)" in lines
    assert lines[-1].endswith("could be judged, as expected.")
    assert "unexpectedly holds a.three was expected to be absent (not built)" in shown(
        three=Expectation("absent", "not built")
    )


def test_result_with_strict(shown):
    assert "unexpected a.four absent" in shown(strict=True)
