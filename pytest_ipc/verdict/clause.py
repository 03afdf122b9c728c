"""The functions for writing clauses: the marker that names the documentation, and the special outcomes.

A clause is a test function. It holds if the function returns, deviates if an assertion or a call in it fails, and is
absent if the platform reports that it lacks the call. `untested` reports that a clause cannot be tried, `disputed` that
manual and Linux are known to disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSYS
from typing import Any, NoReturn

import pytest

from ..kernel.errnos import errno_name
from .manual import LEVELS, RELEASE
from .need import Need

__all__ = ["Deviation", "clause", "disputed", "fails_with", "untested"]

_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_-]+)+")

# The errno of a system that lacks the call. EOPNOTSUPP and EINVAL are about arguments, not about calls.
ABSENT = frozenset({ENOSYS})


class Deviation(AssertionError):
    """A behaviour that the manual does not promise: `expected` and `observed`, in words."""

    def __init__(self, expected: str, observed: str) -> None:
        super().__init__(expected, observed)
        self.expected = expected
        self.observed = observed
        self.evidence: tuple[str, ...] = ()  # lines that show it, if they are not the last kernel calls
        self.measure: dict[str, Any] | None = None  # the call that shows it, for a reproducer (judge/measure.py)
        self.race: dict[str, Any] | None = None  # of a concurrent check: the calls and their allowed results

    def __str__(self) -> str:
        return f"expected {self.expected}, {self.observed}"


def clause(
    id: str,
    page: str,
    section: str,
    errno: int | None = None,
    since: str | None = None,
    disputed: str | None = None,
    level: str | None = None,
) -> pytest.MarkDecorator:
    """Mark a test as one documented clause; its docstring is the clause in the author's own words.

    *id* is stable for ever, as in "shmget.excl-existing-key-eexist"; *page* and *section* are the manual's, as in
    "shmget(2)", "ERRORS"; *errno* is the errno of the clause; *since* the kernel that introduced the behaviour, as in
    "4.17", or the libc, as in "glibc 2.26"; *disputed* is what Linux does instead, where manual and Linux are known to
    disagree; *level* is the promise's level, "posix", "linux" or "glibc", if page and statement do not imply it
    (verdict/manual.py). Raises ValueError for an invalid id, since or level.
    """
    if not _ID.fullmatch(id):
        raise ValueError(f"a clause id must look like 'shmget.private-always-new', not {id!r}")
    if since is not None and not re.fullmatch(r"(glibc )?\d+(\.\d+)*", since):
        raise ValueError(
            f"since must be a version of the kernel or of glibc, like '4.17' or 'glibc 2.26', not {since!r}"
        )
    if level is not None and level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
    return pytest.mark.ipc_clause(id, page, section, errno=errno, since=since, disputed=disputed, level=level)


def failure(error: OSError) -> str:
    """Return the failed call and its errno in words: "shmget failed with EINVAL (Invalid argument)"."""
    call, separator, meaning = str(error.strerror).rpartition(": ")  # the calls of this package put their name first
    where = f" on {error.filename!r}" if error.filename else ""
    return f"{call if separator else 'a call'} failed with {errno_name(error.errno)} ({meaning}){where}"


@contextmanager
def fails_with(*expected: int) -> Iterator[None]:
    """Assert that a call in the block fails with one of the errnos *expected*.

    Raises Deviation for another errno or a success. The ENOSYS of a call that the platform lacks passes through.
    """
    from ..custody.state_dir import StateDirError
    from ..kernel import libc

    wanted = " or ".join(map(errno_name, expected))
    libc.forget_success()
    try:
        yield
    except OSError as error:
        if error.errno in expected:
            return
        if isinstance(error, StateDirError):
            raise  # an error of the ledger, not of the call
        if (
            error.errno in ABSENT or error.errno is None
        ):  # None: a timeout of this package, which names the hanging call
            raise
        raise _measured(Deviation(wanted, failure(error)), expected, error) from error
    success = libc.last_success()
    observed = "the call succeeded" if success is None else f"{success[0]} succeeded with {success[1]!r}"
    raise _measured(Deviation(wanted, observed), expected, None)


def _measured(deviation: Deviation, errnos: tuple[int, ...], error: OSError | None) -> Deviation:
    from .measure import of_expected_errno

    deviation.measure = of_expected_errno(errnos, error)
    return deviation


def untested(need: Need, detail: str) -> NoReturn:
    """Report that this clause cannot be tried here because *need* is unmet.

    *detail* is for the reader: what is missing, and why. Clauses of other projects use `Need.OTHER`.
    """
    lack = pytest.skip.Exception(f"untested: {detail}")
    vars(lack)["need"] = need  # is also sent by a child
    raise lack


def disputed(manual: str, linux: str) -> NoReturn:
    """Report that this platform behaves as Linux does, *linux*, where the manual says otherwise, *manual*."""
    raise pytest.xfail.Exception(f"disputed: the manual ({RELEASE}) says {manual}; this platform, like Linux, {linux}")
