"""pipe(7), /proc files: how much memory the pipes of one ordinary user may take. The limits are read, never changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EPERM
from typing import Any

import pytest

from pytest_ipc import clause, disputed, fails_with, getpipe_size, limit, pipe2, setpipe_size, untested


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


@clause(
    "proc.pipe-user-pages-soft",
    "pipe(7)",
    "/proc files",
    since="4.5",
    disputed="new pipes have two pages since Linux 5.14",
)
def test_beyond_the_soft_limit_new_pipes_are_small(at_the_soft_limit, page):
    """A user whose pipes take pipe-user-pages-soft pages gets new pipes of one page."""
    capacity = at_the_soft_limit(lambda _fd: getpipe_size(pipe2()[0]))
    if capacity == 2 * page:
        disputed(manual="that new pipes have one page", linux="gives them two")
    assert capacity == page


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
