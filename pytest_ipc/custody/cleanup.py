"""Cleanup steps that all run, even if an exception arrives at any moment.

The signal handlers of a second Ctrl-C and of pytest-timeout may raise between any two instructions, also during
cleanup. So each step must be harmless when repeated, an interrupted step runs once more, and all steps run despite
failures.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ESTALE

from ..printable import plain

__all__ = ["attempt", "failures_ignored", "finish", "is_failure", "out_of_sight", "raise_together"]

Step = Callable[[], object]


def finish(*steps: Step) -> None:
    """Run all *steps*, even if some fail. Raise their exceptions by raise_together()."""
    failures: list[BaseException] = []
    for step in steps:
        attempt(step, failures)
    if failures:
        raise_together(failures, "cleanup steps failed")


def attempt(step: Step, failures: list[BaseException]) -> None:
    """Run *step*, once more if it was interrupted, and append what it raises to *failures*."""
    try:
        step()
    except BaseException as failure:  # noqa: BLE001 - an interrupt must not keep the other steps from running
        failures.append(failure)
        if is_failure(failure):
            return
        try:
            step()
        except BaseException as again:  # noqa: BLE001 - the same
            if again is not failure:
                failures.append(again)


def is_failure(error: BaseException | None) -> bool:
    """Return whether *error* reports a failed call, rather than an exception from a signal handler.

    Handlers may raise any exception: KeyboardInterrupt, a pytest outcome, and often TimeoutError, an OSError without
    errno.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_failure, error.exceptions))
    return isinstance(error, (ValueError, TypeError, OverflowError)) or (
        isinstance(error, OSError) and error.errno is not None
    )


class _Ignored:
    """Suppress an OSError with an errno, but not one that a signal handler raised."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, OSError) and error.errno is not None


failures_ignored: _Ignored = _Ignored()


def raise_together(failures: list[BaseException], what: str) -> None:
    """Raise a single failure unchanged, several as an exception group with the message "N *what*".

    A KeyboardInterrupt or SystemExit among them is raised itself, with the others as its cause, as a group would not
    stop the run.
    """
    if len(failures) == 1:
        raise failures[0]
    for failure in failures:
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            others = [other for other in failures if other is not failure]
            raise failure from BaseExceptionGroup(f"{len(others)} {what}", others)
    raise BaseExceptionGroup(f"{len(failures)} {what}", failures)


def out_of_sight(what: object, where: str) -> OSError:
    """Return the error for an object that is not visible from this process; its record stays open."""
    return OSError(
        ESTALE,
        f"{plain(what)} was created in {where}, which this process no longer sees; it stays on record and is removed "
        "after this process has ended",
    )
