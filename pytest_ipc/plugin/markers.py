"""The hooks of the markers: clauses become verdicts, unmet requirements become skips.

The plugin registers them only if a collected test has one of the markers; other runs do not pay for them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from ..requirements import REQUIREMENTS

_REQUIREMENTS = {f"ipc_{name}": requirement for name, requirement in REQUIREMENTS.items()}


def check(items: list[pytest.Item]) -> None:
    """Check the arguments of our markers: an id is one clause, one test and one sentence. Raises pytest.UsageError."""
    owners: dict[str, str] = {}
    for item in items:
        mark = item.get_closest_marker("ipc_clause")
        if mark is None:
            continue
        test = item.nodeid.partition("[")[0]
        if len(mark.args) != 3 or not mark.kwargs.keys() <= {"errno", "since", "disputed", "level"}:
            raise pytest.UsageError(
                f"{test}: the arguments of ipc_clause must be an id, a manual page and a section, and optionally "
                "errno, since, disputed and level"
            )
        if not (getattr(item, "obj", item).__doc__ or "").strip():
            raise pytest.UsageError(
                f"{test}: the clause {mark.args[0]!r} must have a docstring, which is the clause's statement"
            )
        if owners.setdefault(mark.args[0], test) != test:
            raise pytest.UsageError(f"duplicate clause id {mark.args[0]!r}: {owners[mark.args[0]]} and {test}")
    _validate(items)


def _validate(items: list[pytest.Item]) -> None:
    """Check the arguments of the markers for requirements. Raises pytest.UsageError, which names the test."""
    for item in items:
        for mark in item.iter_markers():
            if mark.name in _REQUIREMENTS:
                try:
                    _REQUIREMENTS[mark.name](*mark.args, **mark.kwargs)
                except (TypeError, ValueError, LookupError) as error:
                    raise pytest.UsageError(f"{item.nodeid}: the marker {mark.name}: {error.args[0]}") from None


def _lacking(item: pytest.Item) -> str | None:
    """Return the first unmet requirement of the test in one sentence; None if all are met."""
    for mark in item.iter_markers():
        if mark.name in _REQUIREMENTS and (lack := _REQUIREMENTS[mark.name](*mark.args, **mark.kwargs)()) is not None:
            return lack
    return None


class Requirements:
    """Skip a test whose requirements are not met."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if (lack := _lacking(item)) is not None:
            pytest.skip(lack)


class Clauses:
    """Add the verdict of each clause to its report."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker("ipc_clause") is not None:
            from ..kernel import libc
            from ..verdict.judge import assertions

            libc.forget_calls()  # the previous test's calls are not evidence
            assertions.begin()

    @pytest.hookimpl(wrapper=True, tryfirst=True, specname="pytest_runtest_setup")
    def _in_setup(self) -> Generator[None, None, None]:
        from ..verdict.judge.time_limit import phase

        with phase("setup"):
            yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        from ..verdict.judge.time_limit import phase

        with phase("call"):
            yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        from ..verdict.judge.time_limit import phase

        with phase("teardown"):
            yield

    @pytest.hookimpl(optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """Replace pytest-timeout's timer for a clause, so that the time-out becomes its verdict."""
        if item.get_closest_marker("ipc_clause") is None:
            return None
        from ..verdict.judge import time_limit

        return time_limit.start(item, settings)

    @pytest.hookimpl(optionalhook=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool | None:
        """Stop the timer of a clause."""
        if item.get_closest_marker("ipc_clause") is None:
            return None
        from ..verdict.judge import time_limit

        return time_limit.cancel(item)

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        """Note the values of a failed comparison in a test or in its child."""
        from ..verdict.judge import assertions

        assertions.note(op, left, right)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        mark = item.get_closest_marker("ipc_clause")
        if mark is not None:
            from ..verdict.judge.outcome import judge

            judge(item, mark, call, report)
        return report
