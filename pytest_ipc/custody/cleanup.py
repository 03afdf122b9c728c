"""Cleanup steps that all run, even if an exception arrives at any moment.

The handler of a second Ctrl-C or of pytest-timeout's signal raises between any two instructions, also within a cleanup. So
each step must be harmless when it is done already, an interrupted step runs once more, and no failure keeps the others from
running.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import ESTALE

from ..printable import plain

__all__ = ["attempt", "failures_ignored", "finish", "is_failure", "out_of_sight", "raise_together"]

Step = Callable[[], object]


def finish(*steps: Step) -> None:
    """Run all *steps*, each whatever became of the others. Raise what failed as raise_together() does."""
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
    """Return whether *error* says that a call failed, and was not raised by a signal's handler.

    Handlers raise anything: KeyboardInterrupt, an outcome of pytest's, and often TimeoutError, which is an OSError but for its
    missing errno.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_failure, error.exceptions))
    return isinstance(error, (ValueError, TypeError, OverflowError)) or (
        isinstance(error, OSError) and error.errno is not None
    )


class _Ignored:
    """Suppress an OSError that the kernel gave, and none that a signal's handler raised."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        return isinstance(error, OSError) and error.errno is not None


failures_ignored: _Ignored = _Ignored()


def raise_together(failures: list[BaseException], what: str) -> None:
    """Raise one failure as it is, several as a group named "N *what*".

    A KeyboardInterrupt or SystemExit among them is raised itself, caused by the others: inside a group it would stop nothing.
    """
    if len(failures) == 1:
        raise failures[0]
    for failure in failures:
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            others = [other for other in failures if other is not failure]
            raise failure from BaseExceptionGroup(f"{len(others)} {what}", others)
    raise BaseExceptionGroup(f"{len(failures)} {what}", failures)


def out_of_sight(what: object, where: str) -> OSError:
    """Return the error for an object that this process cannot see from where it is: its record stays open."""
    return OSError(
        ESTALE,
        f"{plain(what)} was made in {where}, which is not what this process sees now; it stays on record and is removed when "
        "this process has ended",
    )
