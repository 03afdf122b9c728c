"""Annotations for GitHub Actions: a line of output for each deviation, in the format of its runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..result import ClauseResult, SuiteResult
    from .expectations import Comparison

__all__ = ["CHOICES", "github", "is_wanted"]

CHOICES = ("auto", "github", "none")


def is_wanted(choice: str) -> bool:
    """Return whether to write annotations: if chosen, or by default on GitHub Actions."""
    return choice == "github" or (choice == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")


def github(result: SuiteResult, comparison: Comparison, platform: str = "") -> Iterator[str]:
    """Yield an error for each unexpected verdict and broken clause, a warning or a notice for each expectation.

    A warning reports a clause that unexpectedly holds, a notice an expected deviation. Titles begin with *platform* if
    given.
    """
    where = f"{platform}: " if platform else ""
    for text in result.broken:
        yield _line("error", f"{where}the suite failed", text)
    for found in result.results:
        if found.verdict.verdict == "broken":
            yield _of_clause("error", where, found, found.verdict.reason)
    for found in comparison.unexpected:
        yield _of_clause("error", where, found, found.verdict.reason)
    for id, expectation in comparison.unexpectedly_holding.items():
        yield _line(
            "warning", f"{where}{id} unexpectedly holds", f"expected: {expectation.verdict}, {expectation.in_words}"
        )
    for found in result.results:
        expected = comparison.as_expected.get(found.id)
        if expected is not None and expected.verdict == "deviates":
            yield _of_clause("notice", where, found, f"{found.verdict.reason}; expected: {expected.in_words}")


def _of_clause(level: str, where: str, found: ClauseResult, text: str) -> str:
    return _line(
        level,
        f"{where}{found.id} {found.verdict.verdict}",
        f"{found.statement}. {text} ({found.page}, {found.section})",
    )


def _line(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for sign in "%\r\n" + more:  # "%" first: the others are replaced by it
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
