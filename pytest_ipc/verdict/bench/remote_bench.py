"""Measure on several platforms, each behind a command that starts a Python there: one after the other by default.

Platforms that share a machine would measure each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from ..runner.connection import Connection, program, run_all
from ..runner.remote import Platform
from .bench_report import BenchReport, Conditions, from_json_parts, new_report
from .figures import Figure
from .floor import CallCost
from .sampling import Missing

__all__ = ["Measured", "PlatformListener", "measure_all"]

_WORKER = "pytest_ipc.verdict.bench.bench_worker"


class PlatformListener(Protocol):
    """The receiver of events while platforms are measured."""

    def began(self, name: str, steps: int) -> None:
        """Handle a platform that has started."""

    def step(self, name: str, number: int, what: str) -> None:
        """Handle the start of a step on a platform."""

    def ended(self, found: Measured) -> None:
        """Handle a platform that has ended."""


class Measured(Connection):
    """A platform and what it has reported: `refusal` is the reason that it did not start, or did not end.

    `report` has the figures when it has ended; None if nothing was measured.
    """

    def __init__(self, platform: Platform, token: str, listener: PlatformListener) -> None:
        super().__init__(platform.command, token)
        self.name: str = platform.name
        self.refusal: str = ""
        self.report: BenchReport | None = None
        self._listener = listener
        self._platform: dict[str, str] = {}
        self._conditions: Conditions | None = None
        self._calls: dict[str, CallCost] = {}
        self._figures: dict[tuple[str, str, int], Figure] = {}
        self._missing: dict[tuple[str, int], Missing] = {}
        self._done = False

    def handle(self, word: str, content: Any) -> None:
        """Handle a line of the platform."""
        if word == "hello":
            self._platform = content
        elif word == "limit":
            self.limit = content
        elif word == "began":
            self._conditions, self._calls = from_json_parts(content["conditions"], content["calls"])
            self._listener.began(self.name, content["steps"])
        elif word == "step":
            self._listener.step(self.name, *content)
        elif word == "figure":
            figure = Figure(**content)
            self._figures[figure.mechanism, figure.quantity, figure.size] = figure
        elif word == "missing":
            entry = Missing(**content)
            self._missing[entry.mechanism, entry.size] = entry
        elif word == "done":
            self._done = True
            self._end()

    def fail(self, reason: str, *, died: bool = False) -> None:  # noqa: ARG002 - the reason says it
        """Record the reason; the figures so far are kept."""
        self.refusal = reason
        self._end()
        self.kill()

    def interrupt(self, signo: int) -> None:  # noqa: ARG002 - the signal is in the exit status
        """Keep the figures so far, because this process must end."""
        if not self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._conditions is not None:
            how = replace(self._conditions, interrupted=not self._done)
            figures, missing = self._figures.values(), self._missing.values()
            self.report = new_report(self.name, self._platform, how, self._calls, figures, missing)
        self._listener.ended(self)

    @property
    def is_whole(self) -> bool:
        """Whether everything was measured, and the platform ends by itself."""
        return self._done


def measure_all(
    platforms: Iterable[Platform],
    bundle: bytes,
    request: dict[str, Any],
    listener: PlatformListener,
    *,
    patience: float | None,
    longer_if_slow: bool,
    at_once: int,
) -> None:
    """Measure on all *platforms*, *at_once* at a time. However this function ends, all have ended."""
    token = secrets.token_hex(16)
    run_all(
        (Measured(platform, token, listener) for platform in platforms),
        program(_WORKER, token, bundle, request),
        patience=patience,
        longer_if_slow=longer_if_slow,
        at_once=at_once,
    )
