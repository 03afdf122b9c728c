"""pipe(7), /proc files: how much memory the pipes of one ordinary user may take. The limits are read, never changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ENFILE, EPERM
from typing import Any

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import getpipe_size, kernel_is_older, limit, pipe2, setpipe_size


@pytest.fixture
def at_the_soft_limit(as_user, page) -> Callable[[Callable[[int], Any]], Any]:
    """Run function(fd) as a user of its own whose pipes, that of *fd* among them, take all pages of the soft limit."""
    soft, most = limit("fs/pipe-user-pages-soft"), limit("fs/pipe-max-size")
    if not soft or not most:
        untested("/proc/sys/fs/pipe-user-pages-soft is not shown or not set here")
    count, rest = divmod(soft * page, most)
    if rest or count > 200:
        untested(f"a soft limit of {soft} pages cannot be reached cheaply with pipes of up to {most} bytes")

    def run(function: Callable[[int], Any]) -> Any:
        def life() -> Any:
            fd = -1
            for _ in range(count):
                _, fd = pipe2()
                setpipe_size(fd, most)
            return function(fd)

        return as_user(62000 + os.getpid() % 3000, 62000, life)  # the account must be nobody else's, or it is not empty

    return run


@clause("proc.pipe-user-pages-soft", "pipe(7)", "/proc files", since="4.5")
def test_beyond_the_soft_limit_new_pipes_are_small(at_the_soft_limit, page):
    """A user whose pipes take pipe-user-pages-soft pages gets new pipes of two pages, of one before Linux 5.14."""
    pages = 1 if kernel_is_older("5.14") else 2
    assert at_the_soft_limit(lambda _fd: getpipe_size(pipe2()[0])) == pages * page


@clause("proc.pipe-user-pages-soft-growth-eperm", "pipe(7)", "/proc files", errno=EPERM, since="4.9")
def test_beyond_the_soft_limit_pipes_do_not_grow(at_the_soft_limit, page):
    """A user whose pipes take pipe-user-pages-soft pages may not enlarge a pipe, which keeps its capacity."""

    def grow(_fd: int) -> tuple[int, int]:
        small = pipe2()[0]
        before = getpipe_size(small)
        with fails_with(EPERM):
            setpipe_size(small, 16 * page)
        return before, getpipe_size(small)

    before, after = at_the_soft_limit(grow)
    assert before == after


@clause("proc.pipe-limits-not-for-shrink", "pipe(7)", "BUGS", since="4.9")
def test_at_the_soft_limit_pipes_can_shrink(at_the_soft_limit, page):
    """A user whose pipes take more than the soft limit may make any of them smaller, and new pipes are large again."""

    def shrink(fd: int) -> tuple[int, int]:
        pipe2()
        return setpipe_size(fd, page), getpipe_size(pipe2()[0])

    assert at_the_soft_limit(shrink) == (page, 16 * page)


@clause("proc.pipe-user-pages-hard", "pipe(7)", "/proc files", errno=ENFILE, since="4.5")
def test_at_the_hard_limit_there_are_no_new_pipes(as_user, page):
    """A user whose pipes take pipe-user-pages-hard pages gets no new pipe."""
    hard, most = limit("fs/pipe-user-pages-hard"), limit("fs/pipe-max-size")
    if not hard or not most:
        untested("/proc/sys/fs/pipe-user-pages-hard is not shown or not set here, and is the whole machine's")
    pipes = hard * page // min(most, 16 * page) + 1
    if pipes > 400 or (limit("fs/pipe-user-pages-soft") or hard) < hard:
        untested(f"a hard limit of {hard} pages cannot be reached cheaply")

    def life() -> int:
        pages = 0
        with fails_with(ENFILE):
            for _ in range(pipes + 1):
                pages += getpipe_size(pipe2()[0]) // page
        return pages

    assert as_user(62000 + os.getpid() % 3000, 62000, life) <= hard


@clause("proc.pipe-max-size-caps-default", "pipe(7)", "/proc files", since="2.6.35")
def test_new_pipes_are_not_larger_than_the_largest(as_user, page):
    """Where pipe-max-size is less than a new pipe has otherwise, a user without privilege gets pipes of that size."""
    most = limit("fs/pipe-max-size")
    if most is None or most >= 16 * page:
        untested(
            f"/proc/sys/fs/pipe-max-size is {most}, no less than the 16 pages of a new pipe, and is the whole machine's"
        )
    assert as_user(62000 + os.getpid() % 3000, 62000, lambda: getpipe_size(pipe2()[0])) == most
