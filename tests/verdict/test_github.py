"""Annotations for GitHub Actions in the output of a check."""

from __future__ import annotations

import pytest

from pytest_ipc.verdict.reports import expectations, github
from pytest_ipc.verdict.reports.expectations import Expectation
from pytest_ipc.verdict.result import SuiteResult, Verdict

from . import reports


def lines(expected=None, strict=False, broken=(), **verdicts: Verdict) -> list[str]:
    result = SuiteResult([reports.result(f"a.{name}", verdict) for name, verdict in verdicts.items()], list(broken))
    return list(github.github(result, expectations.compare(result, expected or {}, strict=strict)))


def test_unexpected_deviation_is_an_error():
    assert lines(b=reports.DEVIATES, c=reports.HOLDS, d=reports.ABSENT) == [
        "::error title=a.b deviates::The clause a.b is kept. expected EEXIST, shmget succeeded with 7 (a(2), ERRORS)"
    ]
    assert lines(strict=True, d=reports.ABSENT)[0].startswith("::error title=a.d absent::")


def test_expected_deviation_is_a_notice_and_unexpected_hold_a_warning():
    known = Expectation("deviates", "issue 1")
    first, second = lines({"a.b": known, "a.c": known}, b=reports.DEVIATES, c=reports.HOLDS)
    assert first == "::warning title=a.c unexpectedly holds::expected: deviates, issue 1"
    assert second.startswith("::notice title=a.b deviates::")
    assert second.endswith("succeeded with 7; expected: issue 1 (a(2), ERRORS)")


def test_broken_clause_is_an_error():
    assert lines(broken=["it failed"], b=reports.BROKEN) == [
        "::error title=the suite failed::it failed",
        "::error title=a.b broken::The clause a.b is kept. setup: NameError: name 'x' is not defined (a(2), ERRORS)",
    ]


def test_text_is_escaped():
    (line,) = lines(broken=["100%, a:b\r\n::error::x"])
    assert line == "::error title=the suite failed::100%25, a:b%0D%0A::error::x"
    assert github._line("error", "a:b,c%", "x") == "::error title=a%3Ab%2Cc%25::x"


@pytest.mark.parametrize(
    ("choice", "where", "wanted"),
    [("auto", "true", True), ("auto", None, False), ("github", None, True), ("none", "true", False)],
)
def test_annotations_are_written_by_default_on_github_only(monkeypatch, choice, where, wanted):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if where:
        monkeypatch.setenv("GITHUB_ACTIONS", where)
    assert github.is_wanted(choice) is wanted
