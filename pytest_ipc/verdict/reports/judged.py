"""A judged platform: what every file of a check is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from ..result import ClauseResult, SuiteResult
from .expectations import Comparison

__all__ = ["Judged"]


@dataclass(frozen=True)
class Judged:
    """A platform, its result and how that compares with its expectations; `seconds` is the time of the run.

    `refusal` is why it could not be judged; its result is empty then. `check` is the command that judges it again.
    """

    name: str
    platform: Mapping[str, str]
    result: SuiteResult
    comparison: Comparison
    started: datetime
    seconds: float
    refusal: str = ""
    check: str = "pytest-ipc check"

    @cached_property
    def _unexpected(self) -> frozenset[str]:
        return frozenset(found.id for found in self.comparison.unexpected)

    def outcome(self, found: ClauseResult) -> str:
        """Return how a CI counts the clause: passed, failed, skipped or broken; an expected deviation is skipped."""
        verdict = found.verdict.verdict
        if verdict in ("holds", "broken"):
            return "passed" if verdict == "holds" else "broken"
        return "failed" if found.id in self._unexpected else "skipped"

    def message(self, found: ClauseResult) -> str:
        """Return the verdict with its reason, and the reason of its expectation."""
        verdict = found.verdict
        known = self.comparison.as_expected.get(found.id)
        text = f"{verdict.verdict}: {verdict.reason}" if verdict.reason else verdict.verdict
        return text + (f"; expected of this platform: {known.in_words}" if known else "")

    def failures(self) -> list[str]:
        """Return the failures of the suite itself, and why the platform could not be judged, a sentence each."""
        return ([f"cannot be judged: {self.refusal}"] if self.refusal else []) + self.result.broken
