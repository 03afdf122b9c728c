"""The result of a run: a verdict for each clause, and the exit status.

    holds      the test returned
    deviates   what the manual promises did not come, or a call failed that should not have
    disputed   the platform does what Linux is known to do where the manual says otherwise
    absent     the platform has no such call, or no such file of /proc
    untested   it could not be tried here, and why
    broken     the suite failed, not the platform: nothing can be said

Reports are read and compared where nothing is run, and so this imports no pytest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .manual import UNKNOWN, Source

__all__ = ["VERDICTS", "ClauseResult", "SuiteResult", "Verdict", "worst"]

# The worst first: of several tests of one clause, and of a test's phases, the worst verdict is the clause's.
VERDICTS = ("broken", "deviates", "disputed", "absent", "untested", "holds")


@dataclass(frozen=True)
class Verdict:
    """What came of one clause: `reason` says why it is not `holds`; a deviation also has what was expected and observed.

    `evidence` is where a deviation was seen and the calls before it, a line each. The same deviation seen twice is the same.
    """

    verdict: str
    reason: str = ""
    expected: str = ""
    observed: str = ""
    evidence: tuple[str, ...] = field(default=(), compare=False)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of several verdicts on one clause."""
    return min(verdicts, key=lambda verdict: VERDICTS.index(verdict.verdict))


@dataclass(frozen=True)
class ClauseResult:
    """The verdict on one clause, and where the clause comes from."""

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
    """What a run of the suite came to: a result a clause, and what broke besides."""

    results: list[ClauseResult]
    broken: list[str] = field(default_factory=list)
    interrupted: int = 0  # the signal that ended it before its end

    def count(self, verdict: str) -> int:
        """How many clauses have this verdict."""
        return sum(result.verdict.verdict == verdict for result in self.results)

    @property
    def exit_status(self) -> int:
        """0 when nothing deviates, 1 when something does, 3 when the suite itself broke, 128 + N when signal N ended it."""
        if self.interrupted:
            return 128 + self.interrupted
        if self.broken or self.count("broken"):
            return 3
        return 1 if self.count("deviates") else 0
