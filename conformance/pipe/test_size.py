"""fcntl(2): F_GETPIPE_SZ and F_SETPIPE_SZ."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EPERM

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import capabilities, getpipe_size, limit, setpipe_size

from ..credentials import GROUP, STRANGER, become

SECTION = "Changing the capacity of a pipe"


@pytest.fixture
def most() -> int:
    """Return pipe-max-size, the largest capacity that an unprivileged process can set."""
    value = limit("fs/pipe-max-size")
    if value is None:
        untested(Need.PROC_FILES, "/proc/sys/fs/pipe-max-size is not shown here")
    if value > 1 << 24:
        untested(Need.MACHINE_LIMITS, f"/proc/sys/fs/pipe-max-size is {value}: too much to ask for in passing")
    return value


@clause("fcntl.setpipe_sz-roundtrip", "fcntl(2)", SECTION, since="2.6.35")
def test_setpipe_sz_changes_the_capacity(pipe, fill, page):
    """F_SETPIPE_SZ returns the new capacity, F_GETPIPE_SZ shows it at both ends, and the pipe holds as many bytes."""
    p = pipe()
    for fd, pages in ((p.write_fd, 4), (p.read_fd, 32), (p.read_fd, 1)):
        assert setpipe_size(fd, pages * page) == pages * page
        assert (getpipe_size(p.read_fd), getpipe_size(p.write_fd)) == (pages * page, pages * page)
    assert fill(p.write_fd) == page


@clause("fcntl.setpipe_sz-grow-makes-room", "fcntl(2)", SECTION, since="2.6.35")
def test_larger_pipe_holds_more(pipe, fill, page):
    """F_SETPIPE_SZ can enlarge a full pipe, which then accepts the difference."""
    p = pipe(capacity=page)
    assert fill(p.write_fd) == page
    setpipe_size(p.write_fd, 4 * page)
    assert fill(p.write_fd) == 3 * page


@clause("fcntl.setpipe_sz-round-up", "fcntl(2)", SECTION, since="2.6.35")
def test_capacity_is_rounded_up(pipe, page):
    """F_SETPIPE_SZ rounds the capacity up to the next power-of-two multiple of the page size, and returns it."""
    p = pipe()
    sizes = {2 * page - 1: 2, 2 * page: 2, 2 * page + 1: 4, 3 * page: 4, 4 * page: 4, 5 * page: 8}
    for size, pages in sizes.items():
        assert setpipe_size(p.write_fd, size) == pages * page
        assert getpipe_size(p.write_fd) == pages * page


@clause("fcntl.setpipe_sz-at-least-a-page", "fcntl(2)", SECTION, since="2.6.35")
def test_minimum_capacity_is_a_page(pipe, page):
    """F_SETPIPE_SZ with less than a page sets a capacity of one page."""
    p = pipe()
    assert [setpipe_size(p.write_fd, size) for size in (1, page - 1, page)] == [page] * 3
    assert getpipe_size(p.read_fd) == page


@clause("fcntl.setpipe_sz-ebusy", "fcntl(2)", "ERRORS", errno=EBUSY, since="2.6.35")
def test_capacity_below_the_data_fails(pipe, unread, page):
    """F_SETPIPE_SZ fails with EBUSY for a capacity below the unread data,
    changes nothing, and succeeds for one just large enough.
    """
    p = pipe(capacity=8 * page)
    data = bytes(range(1, 5)) * page
    p.write(data)
    with fails_with(EBUSY):
        setpipe_size(p.write_fd, 2 * page)
    assert (getpipe_size(p.write_fd), unread(p.read_fd)) == (8 * page, 4 * page)
    assert setpipe_size(p.write_fd, 4 * page) == 4 * page
    assert p.read(len(data)) == data


@clause("fcntl.setpipe_sz-eperm", "fcntl(2)", SECTION, errno=EPERM, since="2.6.35")
def test_unprivileged_user_can_set_pipe_max_size(pipe, fork, most):
    """F_SETPIPE_SZ without CAP_SYS_RESOURCE sets pipe-max-size, and
    fails with EPERM for one byte more without any change.
    """
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
def test_cap_sys_resource_exceeds_pipe_max_size(pipe, most):
    """F_SETPIPE_SZ with CAP_SYS_RESOURCE sets a capacity above pipe-max-size."""
    p = pipe()
    try:
        assert setpipe_size(p.write_fd, 2 * most) == 2 * most
    except PermissionError:
        untested(Need.CAP_SYS_RESOURCE, "needs CAP_SYS_RESOURCE")
    assert getpipe_size(p.read_fd) == 2 * most


@pytest.mark.parametrize("size", [-1, -(1 << 31) + 1], ids=["all-ones", "over-2gib"])
@clause("fcntl.setpipe_sz-einval-huge", "fcntl(2)", SECTION, errno=EINVAL, since="2.6.35")
def test_capacity_above_2_gib_fails(pipe, size):
    """F_SETPIPE_SZ fails with EINVAL for a capacity above 2 GiB, such as a negative one, and changes nothing."""
    p = pipe()
    before = p.capacity
    with fails_with(EINVAL):
        setpipe_size(p.write_fd, size)
    assert p.capacity == before
