"""Annotations for GitHub Actions: a line of output for each deviation, in the format of its runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..result import ClauseResult, SuiteResult
    from .expectations import Reckoning

__all__ = ["CHOICES", "github", "is_wanted"]

CHOICES = ("auto", "github", "none")


def is_wanted(choice: str) -> bool:
    """Whether to write them: asked for, or left to where this runs."""
    return choice == "github" or (choice == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")


def github(result: SuiteResult, reckoning: Reckoning, platform: str = "") -> Iterator[str]:
    """The lines: errors for what is unexpected and what broke, warnings for what has healed, notices for what is known.

    Their titles begin with the *platform*, where there are several.
    """
    where = f"{platform}: " if platform else ""
    for text in result.broken:
        yield _line("error", f"{where}the suite broke", text)
    for found in result.results:
        if found.verdict.verdict == "broken":
            yield _of_clause("error", where, found, found.verdict.reason)
    for found in reckoning.unexpected:
        yield _of_clause("error", where, found, found.verdict.reason)
    for id, expectation in reckoning.healed.items():
        yield _line(
            "warning", f"{where}{id} healed", f"{expectation.verdict} was expected, and is not so: {expectation.reason}"
        )
    for found in result.results:
        known = reckoning.known.get(found.id)
        if known is not None and known.verdict == "deviates":
            yield _of_clause("notice", where, found, f"{found.verdict.reason}; known: {known.reason}")


def _of_clause(level: str, where: str, found: ClauseResult, text: str) -> str:
    return _line(
        level,
        f"{where}{found.id} {found.verdict.verdict}",
        f"{found.statement}. {text} ({found.page}, {found.section})",
    )


def _line(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title, ':,')}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for sign in "%\r\n" + more:  # the per cent sign first, for it is what the others become
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
