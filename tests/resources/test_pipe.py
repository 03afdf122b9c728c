"""Pipes: their ends, their capacity, and one end's trouble, which is not the other's."""

from __future__ import annotations

import os

import pytest

from pytest_ipc import Pipe
from pytest_ipc.kernel import limit, open_descriptors


def test_bytes_go_through_and_end():
    with Pipe.create() as pipe:
        assert pipe.write(b"water") == 5
        pipe.close_write()
        assert (pipe.read(2), pipe.read(), pipe.read()) == (b"wa", b"ter", b"")
        pipe.close_read()
        assert pipe.descriptors() == []


def test_its_descriptors_live_as_long_as_its_block():
    before = open_descriptors()
    with Pipe.create() as pipe:
        assert pipe.descriptors() == [pipe.read_fd, pipe.write_fd]
        assert sorted(before + pipe.descriptors()) == open_descriptors()
        assert f"<read end of a pipe, descriptor {pipe.read_fd}>" in repr(pipe)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("flags", "inheritable", "blocking"), [(os.O_CLOEXEC, False, True), (os.O_NONBLOCK, True, False)]
)
def test_flags_are_those_that_were_given(flags, inheritable, blocking):
    with Pipe.create(flags=flags) as pipe:
        for fd in pipe.descriptors():
            assert (os.get_inheritable(fd), os.get_blocking(fd)) == (inheritable, blocking)


def test_it_holds_at_least_the_capacity_asked_for():
    with Pipe.create(capacity=10000) as pipe:
        assert pipe.capacity >= 10000
        pipe.close_read()
        assert pipe.capacity >= 10000


def test_capacity_beyond_the_limit_names_the_limit(fork):
    most = limit("fs/pipe-max-size")
    if most is None:
        pytest.skip("/proc/sys/fs/pipe-max-size cannot be read")

    def life():
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        before = open_descriptors()
        try:
            Pipe.create(capacity=most * 2)
        except PermissionError as error:
            return error.__notes__, open_descriptors() == before

    assert fork(life).result() == (
        [f"while making a pipe of {most * 2} bytes", f"fs.pipe-max-size is {most} (bytes; pipe(7))"],
        True,
    )


@pytest.mark.parametrize("end", ["reader", "writer"])
def test_end_closed_by_number_is_reported_and_the_other_closed(end):
    before = open_descriptors()
    pipe = Pipe.create()
    os.close(getattr(pipe, end).fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        pipe.close()
    assert open_descriptors() == before


def test_a_child_closes_its_own_copy_of_an_end(fork, pipe):
    ends = pipe()

    def life():
        ends.close_write()
        return ends.read(timeout=None)

    child = fork(life)
    child.wait_blocked("read")
    ends.write(b"from the parent")
    assert child.result() == b"from the parent"
