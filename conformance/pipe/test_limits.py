"""pipe(7), /proc files: the memory that the pipes of one unprivileged user may take.

The limits are read, never changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ENFILE, EPERM
from typing import Any

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import getpipe_size, kernel_is_older, limit, pipe2, setpipe_size


@pytest.fixture
def at_the_soft_limit(as_user, page) -> Callable[[Callable[[int], Any]], Any]:
    """Run function(fd) as an unused uid whose pipes, that of *fd* included, take all pages of the soft limit."""
    soft, most = limit("fs/pipe-user-pages-soft"), limit("fs/pipe-max-size")
    if not soft or not most:
        untested(Need.MACHINE_LIMITS, "/proc/sys/fs/pipe-user-pages-soft is not shown or not set here")
    count, rest = divmod(soft * page, most)
    if rest or count > 200:
        untested(
            Need.MACHINE_LIMITS,
            f"a soft limit of {soft} pages cannot be reached cheaply with pipes of up to {most} bytes",
        )

    def run(function: Callable[[int], Any]) -> Any:
        def child() -> Any:
            fd = -1
            for _ in range(count):
                _, fd = pipe2()
                setpipe_size(fd, most)
            return function(fd)

        return as_user(62000 + os.getpid() % 3000, 62000, child)  # an unused uid, which has no other pipes

    return run


@clause("proc.pipe-user-pages-soft", "pipe(7)", "/proc files", since="4.5")
def test_new_pipes_are_small_beyond_the_soft_limit(at_the_soft_limit, page):
    """An unprivileged user whose pipes take pipe-user-pages-soft pages
    gets new pipes of two pages, before Linux 5.14 of one.
    """
    pages = 1 if kernel_is_older("5.14") else 2
    assert at_the_soft_limit(lambda _fd: getpipe_size(pipe2()[0])) == pages * page


@clause("proc.pipe-user-pages-soft-growth-eperm", "pipe(7)", "/proc files", errno=EPERM, since="4.9")
def test_pipes_do_not_grow_beyond_the_soft_limit(at_the_soft_limit, page):
    """F_SETPIPE_SZ fails with EPERM if it would exceed
    pipe-user-pages-soft for an unprivileged user, and keeps the capacity.
    """

    def grow(_fd: int) -> tuple[int, int]:
        small = pipe2()[0]
        before = getpipe_size(small)
        with fails_with(EPERM):
            setpipe_size(small, 16 * page)
        return before, getpipe_size(small)

    before, after = at_the_soft_limit(grow)
    assert before == after


@clause("proc.pipe-limits-not-for-shrink", "pipe(7)", "BUGS", since="4.9")
def test_pipes_can_shrink_at_the_soft_limit(at_the_soft_limit, page):
    """F_SETPIPE_SZ can shrink a pipe of a user above the soft limit,
    and new pipes then have the default capacity again.
    """

    def shrink(fd: int) -> tuple[int, int]:
        pipe2()
        return setpipe_size(fd, page), getpipe_size(pipe2()[0])

    assert at_the_soft_limit(shrink) == (page, 16 * page)


@clause("proc.pipe-user-pages-hard", "pipe(7)", "/proc files", errno=ENFILE, since="4.5")
def test_no_new_pipes_at_the_hard_limit(as_user, page):
    """pipe() fails with ENFILE for an unprivileged user whose pipes take pipe-user-pages-hard pages."""
    hard, most = limit("fs/pipe-user-pages-hard"), limit("fs/pipe-max-size")
    if not hard or not most:
        untested(
            Need.MACHINE_LIMITS,
            "/proc/sys/fs/pipe-user-pages-hard is not shown or not set here, and is the whole machine's",
        )
    pipes = hard * page // min(most, 16 * page) + 1
    if pipes > 400 or (limit("fs/pipe-user-pages-soft") or hard) < hard:
        untested(Need.MACHINE_LIMITS, f"a hard limit of {hard} pages cannot be reached cheaply")

    def child() -> int:
        pages = 0
        with fails_with(ENFILE):
            for _ in range(pipes + 1):
                pages += getpipe_size(pipe2()[0]) // page
        return pages

    assert as_user(62000 + os.getpid() % 3000, 62000, child) <= hard


@clause("proc.pipe-max-size-caps-default", "pipe(7)", "/proc files", since="2.6.35")
def test_new_pipes_are_capped_by_pipe_max_size(as_user, page):
    """A new pipe of an unprivileged user has pipe-max-size bytes if that is less than the default capacity."""
    most = limit("fs/pipe-max-size")
    if most is None or most >= 16 * page:
        untested(
            Need.MACHINE_LIMITS,
            f"/proc/sys/fs/pipe-max-size is {most}, not below the 16 pages of a new pipe, for the whole machine",
        )
    assert as_user(62000 + os.getpid() % 3000, 62000, lambda: getpipe_size(pipe2()[0])) == most
