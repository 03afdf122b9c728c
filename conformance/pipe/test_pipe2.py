"""pipe(2) and pipe2(2): flags and errors."""

from __future__ import annotations

import os
from contextlib import suppress
from ctypes import Array, c_int, c_void_p
from errno import EFAULT, EINVAL, EMFILE, ENOPKG
from fcntl import F_GETFD, FD_CLOEXEC, fcntl
from os import O_APPEND, O_CLOEXEC, O_CREAT, O_NONBLOCK, O_TRUNC

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import O_NOTIFICATION_PIPE, open_descriptors, pipe2
from pytest_ipc.kernel.libc import function

from ..conftest import succeeded
from ..credentials import limit_process
from ..memory import free_range

# The calls with an array that the caller provides.
pipe_into = function("pipe", c_int, c_void_p)
pipe2_into = function("pipe2", c_int, c_void_p, c_int)


def leave_free(count: int) -> list[int]:
    """Use up all descriptors of this child but *count*; return those used up."""
    top = open_descriptors()[-1] + 10
    limit_process("NOFILE", top)
    taken = []
    with suppress(OSError):
        for _ in range(top + 1):
            taken.append(os.dup(1))  # noqa: PERF401 - the list must hold what came before the error
    for _ in range(count):
        os.close(taken.pop())
    return taken


@pytest.mark.parametrize(
    "flags", [0, O_CLOEXEC, O_NONBLOCK, O_CLOEXEC | O_NONBLOCK], ids=["0", "cloexec", "nonblock", "both"]
)
@clause("pipe2.cloexec-nonblock", "pipe(2)", "DESCRIPTION", since="2.6.27")
def test_flags_are_set_on_both_ends(pipe, flags):
    """pipe2() sets O_CLOEXEC and O_NONBLOCK on both descriptors if
    given, independently of each other, and not otherwise.
    """
    p = pipe(flags=flags)
    for fd in (p.read_fd, p.write_fd):
        assert bool(fcntl(fd, F_GETFD) & FD_CLOEXEC) == bool(flags & O_CLOEXEC)
        assert os.get_blocking(fd) == (not flags & O_NONBLOCK)


@clause("pipe.blocking-and-inherited", "pipe(2)", "DESCRIPTION")
def test_pipe_without_flags_sets_none():
    """pipe() returns descriptors that block and stay open across execve()."""
    fds = (c_int * 2)()
    pipe_into(fds)
    with open(fds[0], "rb"), open(fds[1], "wb"):
        assert [os.get_blocking(fd) for fd in fds] == [True, True]
        assert [fcntl(fd, F_GETFD) & FD_CLOEXEC for fd in fds] == [0, 0]


@clause("pipe2.cloexec-closed-by-exec", "pipe(2)", "DESCRIPTION", since="2.6.27")
def test_exec_closes_ends_with_cloexec(pipe, program):
    """execve() closes the ends of a pipe created with O_CLOEXEC and keeps those of one created without."""
    closed, kept = pipe(flags=O_CLOEXEC), pipe(flags=0)
    source = "import os, sys; print([os.path.exists(f'/proc/self/fd/{fd}') for fd in sys.argv[1:]])"
    other = program(source, closed.read_fd, closed.write_fd, kept.read_fd, kept.write_fd)
    succeeded(other)
    assert other.output == "[False, False, True, True]\n"


@pytest.mark.parametrize("flag", [O_CREAT, O_TRUNC, O_APPEND, 0x4000_0000], ids=["creat", "trunc", "append", "none"])
@clause("pipe2.einval-flags", "pipe(2)", "ERRORS", errno=EINVAL, since="2.6.27")
def test_unknown_flags_fail(pipe, flag):
    """pipe2() fails with EINVAL for an unknown flag, alone and with a valid flag, and opens no descriptor."""
    before = open_descriptors()
    for flags in (flag, flag | O_CLOEXEC):
        with fails_with(EINVAL):
            pipe(flags=flags)
    assert open_descriptors() == before


@clause("pipe2.enopkg-notification", "pipe(2)", "ERRORS", errno=ENOPKG, since="5.8")
def test_notification_pipe_fails_if_not_configured():
    """pipe2() with O_NOTIFICATION_PIPE fails with ENOPKG on a kernel
    without CONFIG_WATCH_QUEUE, and opens no descriptor.
    """
    before = open_descriptors()
    try:
        fds = pipe2(O_NOTIFICATION_PIPE)
    except OSError as error:
        assert error.errno == ENOPKG, error  # noqa: PT017 - success is accepted too
        assert open_descriptors() == before
    else:
        for fd in fds:
            os.close(fd)
        untested(Need.OTHER_KERNEL, "this kernel was built with CONFIG_WATCH_QUEUE, so it has notification pipes")


@clause("pipe.efault", "pipe(2)", "ERRORS", errno=EFAULT)
def test_invalid_array_fails(page):
    """pipe() and pipe2() fail with EFAULT for an array outside the address space, and open no descriptor."""
    before, nowhere = open_descriptors(), free_range(page)
    with fails_with(EFAULT):
        pipe_into(nowhere)
    with fails_with(EFAULT):
        pipe2_into(nowhere, O_CLOEXEC)
    assert open_descriptors() == before


@clause("pipe.emfile", "pipe(2)", "ERRORS", errno=EMFILE)
def test_pipe_needs_two_free_descriptors(fork):
    """pipe2() fails with EMFILE if the process can open only one
    descriptor more, keeps it free, and succeeds with two.
    """

    def child() -> None:
        taken = leave_free(1)
        with fails_with(EMFILE):
            pipe2(0)
        os.close(os.dup(1))
        os.close(taken.pop())
        pipe2(0)

    fork(child).result()


@clause("pipe.fds-unchanged-on-failure", "pipe(2)", "RETURN VALUE")
def test_array_is_unchanged_on_failure(fork):
    """pipe() and pipe2() that fail with EINVAL or EMFILE leave the array unchanged."""

    def child() -> list[list[int]]:
        arrays: list[Array[c_int]] = [(c_int * 2)(-7, -8) for _ in range(3)]
        with fails_with(EINVAL):
            pipe2_into(arrays[0], O_CREAT)
        leave_free(1)
        with fails_with(EMFILE):
            pipe2_into(arrays[1], 0)
        with fails_with(EMFILE):
            pipe_into(arrays[2])
        return [list(array) for array in arrays]

    assert fork(child).result() == [[-7, -8]] * 3
