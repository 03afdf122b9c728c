"""Run the suite on several platforms at once, and make their results of what they report."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...printable import counted
from ..result import ClauseResult, SuiteResult, Verdict
from ..suite import ClauseTest
from .connection import Connection, program, run_all

__all__ = ["Listener", "Platform", "judge"]

_WORKER = "pytest_ipc.verdict.runner.remote_worker"


@dataclass
class Platform:
    """A platform and its state: `refusal` is the reason that it did not start, `described` its own description."""

    name: str
    command: list[str]
    described: dict[str, str] = field(default_factory=dict)
    refusal: str = ""
    result: SuiteResult | None = None


class Listener(Protocol):
    """The receiver of events while the platforms run."""

    def began(self, platform: Platform) -> None:
        """Handle a platform that has started and described itself."""

    def judged(self, platform: Platform, id: str, verdict: Verdict) -> bool:
        """Handle the verdict of a clause on a platform. Return whether it ends the run there."""

    def ended(self, platform: Platform) -> None:
        """Handle a platform that has its result or its refusal."""


def judge(
    platforms: Iterable[Platform],
    wanted: list[ClauseTest],
    bundle: bytes,
    request: dict[str, Any],
    listener: Listener,
    *,
    patience: float | None,
    longer_if_slow: bool = False,
    at_once: int | None = None,
) -> None:
    """Run the clauses *wanted* on all *platforms*, *at_once* at a time; each gets a result or a refusal.

    A platform that is silent for *patience* seconds is given up; *longer_if_slow* extends that where a clause may take
    longer. However this function ends, all platforms have ended.
    """
    token = secrets.token_hex(16)
    run_all(
        (_Talk(platform, wanted, token, listener) for platform in platforms),
        program(_WORKER, token, bundle, request),
        patience=patience,
        longer_if_slow=longer_if_slow,
        at_once=at_once,
    )


class _Talk(Connection):
    """The connection to a platform that judges clauses."""

    def __init__(self, platform: Platform, wanted: list[ClauseTest], token: str, listener: Listener) -> None:
        super().__init__(platform.command, token)
        self.platform = platform
        self._clauses = {clause.id: clause for clause in wanted}
        self._listener = listener
        self._heard: dict[str, Verdict] = {}
        self._last = ""

    def handle(self, word: str, content: Any) -> None:
        """Handle a line of the platform."""
        if word == "hello":
            self.platform.described = content
            self._listener.began(self.platform)
        elif word == "limit":
            self.limit = content
        elif word == "judged":
            self._last, verdict = content[0], _verdict(content[1:])
            self._heard[self._last] = verdict
            if self._listener.judged(self.platform, self._last, verdict):
                self._end(SuiteResult(self._results(), stopped=True))
        elif word == "done":
            results = [self._result(id, _verdict(fields), seconds) for id, *fields, seconds in content["results"]]
            self._end(SuiteResult(results, content["broken"], content["interrupted"]))

    def fail(self, reason: str, *, died: bool = False) -> None:
        """Record the failure: as a broken result if the platform had begun, as a refusal otherwise."""
        if not self.platform.described:
            when = " before the suite began there" if died else ""
            self.platform.refusal = reason if not when else reason.replace("ended (", f"ended{when} (", 1)
            self.over = True
            self.kill()
            self._listener.ended(self.platform)
            return
        after = f"after {len(self._heard)} of {counted(len(self._clauses), 'clause')}"
        last = f", the last of them {self._last}" if self._last else ""
        self._end(SuiteResult(self._results(), [f"the platform was lost {after}{last}: {reason}"]))

    def interrupt(self, signo: int) -> None:
        """Make the verdicts so far the platform's result, because this process must end."""
        if not self.over and self.platform.described:
            self._end(SuiteResult(self._results(), interrupted=signo))

    def _results(self) -> list[ClauseResult]:
        return [self._result(id, verdict, 0.0) for id, verdict in sorted(self._heard.items())]

    def _end(self, result: SuiteResult) -> None:
        self.platform.result = result
        self.over = True
        self._listener.ended(self.platform)

    def _result(self, id: str, verdict: Verdict, seconds: float) -> ClauseResult:
        clause = self._clauses[id]
        facts = clause.mechanism, clause.page, clause.section, clause.statement
        return ClauseResult(id, *facts, verdict, seconds, clause.source)

    @property
    def is_whole(self) -> bool:
        """Whether every clause has been judged, and the platform ends by itself."""
        result = self.platform.result
        return result is not None and not (result.broken or result.interrupted or result.stopped)


def _verdict(fields: list[Any]) -> Verdict:
    verdict, reason, expected, observed, evidence, need, trace = fields
    return Verdict(verdict, reason, expected, observed, tuple(evidence), need, trace)
