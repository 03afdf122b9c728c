"""The result of a run: a verdict for each clause, and the exit status.

    holds      behaves as documented
    deviates   does not, or a call failed that should succeed
    disputed   manual and Linux are known to disagree, and the platform behaves as Linux does
    absent     the platform does not have the call or the file of /proc
    untested   could not be tried, with the reason
    broken     the suite failed, not the platform

Reports are read and compared without running a test, so this module does not import pytest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .manual import UNKNOWN, Source

__all__ = ["VERDICTS", "ClauseResult", "SuiteResult", "Verdict", "worst"]

# The worst first: a clause has the worst verdict of its tests and of their phases.
VERDICTS = ("broken", "deviates", "disputed", "absent", "untested", "holds")


@dataclass(frozen=True)
class Verdict:
    """The verdict on a clause: `reason` if it does not hold; a deviation also has `expected` and `observed`.

    `evidence` is the position of a deviation and the calls before it, a line each. It is ignored in comparisons.
    `trace` has the calls of a deviation for a reproducer, as JSON (judge/evidence.py).
    `need` is the identifier of what a clause is untested or absent without (need.py), if the report has it.
    """

    verdict: str
    reason: str = ""
    expected: str = ""
    observed: str = ""
    evidence: tuple[str, ...] = field(default=(), compare=False)
    need: str = ""
    trace: str = field(default="", compare=False)


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst of several verdicts on one clause."""
    return min(verdicts, key=lambda verdict: VERDICTS.index(verdict.verdict))


@dataclass(frozen=True)
class ClauseResult:
    """The verdict on a clause, and its source."""

    id: str
    mechanism: str
    page: str
    section: str
    statement: str
    verdict: Verdict
    duration: float
    source: Source = UNKNOWN


@dataclass
class SuiteResult:
    """The result of a run: a result for each clause, and other failures of the suite."""

    results: list[ClauseResult]
    broken: list[str] = field(default_factory=list)
    interrupted: int = 0  # the signal that ended it early
    stopped: bool = False  # an unexpected deviation ended it early, as requested

    def count(self, verdict: str) -> int:
        """Return the number of clauses with this verdict."""
        return sum(result.verdict.verdict == verdict for result in self.results)

    @property
    def exit_status(self) -> int:
        """Return 0 if no clause deviates, 1 if one does, 3 if the suite itself failed, 128 + N if signal N ended it."""
        if self.interrupted:
            return 128 + self.interrupted
        if self.broken or self.count("broken"):
            return 3
        return 1 if self.count("deviates") else 0
