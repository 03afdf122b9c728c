"""fcntl(2): F_GETPIPE_SZ and F_SETPIPE_SZ."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EPERM

import pytest

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import capabilities, getpipe_size, limit, setpipe_size

from ..credentials import GROUP, STRANGER, become

SECTION = "Changing the capacity of a pipe"


@pytest.fixture
def most() -> int:
    """The capacity that anybody may set."""
    value = limit("fs/pipe-max-size")
    if value is None:
        untested("/proc/sys/fs/pipe-max-size is not shown here")
    if value > 1 << 24:
        untested(f"/proc/sys/fs/pipe-max-size is {value}: too much to ask for in passing")
    return value


@clause("fcntl.setpipe_sz-roundtrip", "fcntl(2)", SECTION, since="2.6.35")
def test_the_capacity_can_be_changed(pipe, fill, page):
    """F_SETPIPE_SZ gives the capacity that it set, F_GETPIPE_SZ gives the same at both ends, and so much fits in."""
    p = pipe()
    for fd, pages in ((p.write_fd, 4), (p.read_fd, 32), (p.read_fd, 1)):
        assert setpipe_size(fd, pages * page) == pages * page
        assert (getpipe_size(p.read_fd), getpipe_size(p.write_fd)) == (pages * page, pages * page)
    assert fill(p.write_fd) == page


@clause("fcntl.setpipe_sz-grow-makes-room", "fcntl(2)", SECTION, since="2.6.35")
def test_a_larger_pipe_holds_more(pipe, fill, page):
    """A full pipe that is enlarged has room for the difference, and keeps its data."""
    p = pipe(capacity=page)
    assert fill(p.write_fd) == page
    setpipe_size(p.write_fd, 4 * page)
    assert fill(p.write_fd) == 3 * page


@clause("fcntl.setpipe_sz-round-up", "fcntl(2)", SECTION, since="2.6.35")
def test_the_capacity_is_rounded_up(pipe, page):
    """The capacity becomes the next power of two of pages that is not less than what was asked for, and this is returned."""
    p = pipe()
    sizes = {2 * page - 1: 2, 2 * page: 2, 2 * page + 1: 4, 3 * page: 4, 4 * page: 4, 5 * page: 8}
    for size, pages in sizes.items():
        assert setpipe_size(p.write_fd, size) == pages * page
        assert getpipe_size(p.write_fd) == pages * page


@clause("fcntl.setpipe_sz-at-least-a-page", "fcntl(2)", SECTION, since="2.6.35")
def test_the_least_capacity_is_a_page(pipe, page):
    """To ask for less than a page gives a page."""
    p = pipe()
    assert [setpipe_size(p.write_fd, size) for size in (1, page - 1, page)] == [page] * 3
    assert getpipe_size(p.read_fd) == page


@clause("fcntl.setpipe_sz-ebusy", "fcntl(2)", "ERRORS", errno=EBUSY, since="2.6.35")
def test_a_pipe_does_not_become_smaller_than_its_data(pipe, unread, page):
    """A capacity below what the pipe holds is refused and nothing changes; one that is just enough is set."""
    p = pipe(capacity=8 * page)
    data = bytes(range(1, 5)) * page
    p.write(data)
    with fails_with(EBUSY):
        setpipe_size(p.write_fd, 2 * page)
    assert (getpipe_size(p.write_fd), unread(p.read_fd)) == (8 * page, 4 * page)
    assert setpipe_size(p.write_fd, 4 * page) == 4 * page
    assert p.read(len(data)) == data


@clause("fcntl.setpipe_sz-eperm", "fcntl(2)", SECTION, errno=EPERM, since="2.6.35")
def test_an_ordinary_user_can_go_up_to_the_limit(pipe, fork, most):
    """A process without CAP_SYS_RESOURCE may set a capacity of pipe-max-size, and not a byte more; then nothing changes."""
    p = pipe()

    def child() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        assert setpipe_size(p.write_fd, most) == most
        with fails_with(EPERM):
            setpipe_size(p.write_fd, most + 1)

    fork(child).result()
    assert getpipe_size(p.write_fd) == most


@clause("fcntl.setpipe_sz-cap-overrides", "fcntl(2)", SECTION, since="2.6.35")
def test_a_privileged_process_can_go_beyond_the_limit(pipe, most):
    """A process with CAP_SYS_RESOURCE may set a capacity above pipe-max-size."""
    p = pipe()
    try:
        assert setpipe_size(p.write_fd, 2 * most) == 2 * most
    except PermissionError:
        untested("needs CAP_SYS_RESOURCE")
    assert getpipe_size(p.read_fd) == 2 * most


@pytest.mark.parametrize("size", [-1, -(1 << 31) + 1], ids=["all-ones", "over-2gib"])
@clause("fcntl.setpipe_sz-einval-huge", "fcntl(2)", SECTION, errno=EINVAL, since="2.6.35")
def test_an_impossible_capacity_is_refused(pipe, size):
    """A capacity above 2 GiB, as a negative number is to the kernel, is refused, and nothing changes."""
    p = pipe()
    before = p.capacity
    with fails_with(EINVAL):
        setpipe_size(p.write_fd, size)
    assert p.capacity == before
