"""Calls of C functions: arguments checked before the call, failures with their errno, errno kept."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import nullcontext
from ctypes import addressof, c_int, c_size_t, c_ssize_t, c_void_p, create_string_buffer
from errno import EBADF, EINTR, ENOENT, ENOSYS
from mmap import mmap

import pytest

from pytest_ipc import kernel, scope
from pytest_ipc.kernel import (
    MUTEX_BYTES,
    PTHREAD_MUTEX_ERRORCHECK,
    close,
    errno_kept,
    last_success,
    libc,
    mutex_destroy,
    mutex_init,
    mutex_unlock,
    posix_fallocate,
    read,
    recent_calls,
    sigaction_change,
)
from pytest_ipc.kernel.libc import function

OUT_OF_RANGE = [
    ("shmget", (1 << 31, 1, 0)),
    ("shmget", (-(1 << 31) - 1, 1, 0)),
    ("shmget", (1, -1, 0)),
    ("shmget", (1, 1 << 64, 0)),
    ("shmat", (1 << 31, None, 0)),
    ("shmat", (0, 1 << 64, 0)),
    ("shmdt", (-1,)),
    ("shmctl", (0, 1 << 31)),
    ("shmctl", (0, 2, 1 << 64)),
    ("close", (1 << 32,)),
    ("read", (1 << 31, 1)),
    ("write", (-(1 << 31) - 1, b"")),
    ("pipe2", (1 << 31,)),
    ("fcntl", (0, 0, 1 << 63)),
    ("setpipe_size", (0, 1 << 32)),
    ("tee", (0, 1, -1)),
    ("kill", (1 << 31, 0)),
    ("tgkill", (1, 1, 1 << 32)),
    ("sigqueue", (1, 0, 1 << 31)),
    ("sigaction", (signal.SIGUSR1, kernel.SigAction(0, 1 << 32, frozenset()))),
    ("prctl", (1 << 31,)),
    ("prctl", (1, -1)),
    ("unshare", (1 << 31,)),
    ("setns", (1 << 31, 0)),
    ("setns", (0, -(1 << 31) - 1)),
    ("mount", (None, "/", None, -1)),
    ("umount2", ("/nowhere", 1 << 31)),
    ("setrlimit", (7, 0, 1 << 64)),
    ("setrlimit", (7, -1, 0)),
    ("getrlimit", (1 << 31,)),
    ("prlimit", (1 << 31, 7)),
    ("prlimit", (0, -1)),
    ("pidfd_open", ((1 << 32) + 1,)),
    ("pidfd_send_signal", ((1 << 32) + 1, 0)),
    ("pidfd_send_signal", (0, 1 << 32)),
    ("ftok", ("/", 1 << 31)),
]
WRONG_TYPES = [
    ("shmget", ("1", 1, 0)),
    ("shmget", (1, 1.0, 0)),
    ("shmget", (None, 1, 0)),
    ("close", (1.0,)),
    ("write", (1, "text")),
    ("fcntl", (0, 0, b"x")),
    ("sigqueue", (1, 0, 1.5)),
    ("pidfd_open", ("1",)),
    ("setns", ("0", 0)),
    ("umount2", (7, 0)),
    ("setrlimit", (7, 1.5, 2)),
    ("shmat", (0, "address", 0)),
    ("shmdt", (b"address",)),
]


@pytest.mark.parametrize(("name", "arguments"), OUT_OF_RANGE, ids=lambda value: str(value)[:40])
def test_integer_beyond_the_c_type_raises_overflow_error(name, arguments):
    ctypes.set_errno(777)
    libc.forget_success()
    with pytest.raises(OverflowError, match=r"argument must be from -?\d+ to \d+"):
        getattr(kernel, name)(*arguments)
    assert (ctypes.get_errno(), last_success()) == (777, None)


@pytest.mark.parametrize(("name", "arguments"), WRONG_TYPES, ids=lambda value: str(value)[:40])
def test_wrong_type_raises_type_error(name, arguments):
    ctypes.set_errno(777)
    libc.forget_success()
    with pytest.raises(TypeError, match=r"integer|bytes|wrong type|argument"):
        getattr(kernel, name)(*arguments)
    assert (ctypes.get_errno(), last_success()) == (777, None)


@pytest.mark.parametrize("field", ["uid", "gid", "mode"])
def test_id_or_mode_beyond_the_structure_member_raises_overflow_error(sysv_shm, field):
    segment = sysv_shm()
    before = segment.stat().perm
    for value in (-1, 1 << 32):
        with pytest.raises(OverflowError, match="shmctl"):
            kernel.shmctl_set(segment.id, **{field: value})
    assert segment.stat().perm == before


def test_invalid_mode_creates_no_file(tmp_path):
    with pytest.raises(OverflowError, match="mkfifo"):
        kernel.mkfifo(tmp_path / "fifo", -1)
    assert list(tmp_path.iterdir()) == []


def test_path_with_a_nul_raises_value_error(tmp_path):
    for path in (f"{tmp_path}/a\0b", f"{tmp_path}/a\0b".encode()):
        with pytest.raises(ValueError, match="NUL"):
            kernel.mkfifo(path)
        with pytest.raises(ValueError, match="NUL"):
            kernel.open(path, os.O_CREAT | os.O_WRONLY)
    with pytest.raises(ValueError, match="NUL"):
        kernel.ftok("/\0tmp", 1)
    assert list(tmp_path.iterdir()) == []


def test_os_error_has_errno_and_call_name(tmp_path):
    with pytest.raises(OSError, match=r"\[Errno 9\] close: Bad file descriptor") as caught:
        close(-1)
    assert caught.value.errno == EBADF
    with pytest.raises(FileNotFoundError, match="open: ") as caught:
        kernel.open(tmp_path / "nothing", os.O_RDONLY)
    assert caught.value.errno == ENOENT


def test_failed_system_call_by_number_has_errno_and_call_name():
    with pytest.raises(OSError, match="system call 100000") as caught:
        libc.syscall(100000)
    assert caught.value.errno == ENOSYS
    with pytest.raises(OverflowError, match="range of the C type"):
        libc.syscall(100000, 1 << 64)


def test_function_missing_in_libc_fails_with_enosys_when_called():
    call = function("pytest_ipc_no_such_call", c_int, c_int)
    with pytest.raises(OSError, match="pytest_ipc_no_such_call: this libc has no such function") as caught:
        call(1)
    assert caught.value.errno == ENOSYS


def test_last_success_ignores_failures():
    libc.forget_success()
    with pytest.raises(OSError, match="close"):
        close(-1)
    assert last_success() is None
    name, fds = "pipe2", kernel.pipe2()
    assert last_success() == (name, 0)
    for fd in fds:
        close(fd)
    assert last_success() == ("close", 0)
    assert libc.syscall(kernel.number_of("getpid")) == os.getpid()
    assert last_success() == ("getpid", os.getpid())


def test_recent_calls_show_a_failed_pthread_call_as_failed():
    memory = create_string_buffer(MUTEX_BYTES)
    address = addressof(memory)
    mutex_init(address, kind=PTHREAD_MUTEX_ERRORCHECK)
    libc.forget_calls()
    with pytest.raises(PermissionError, match=r"^.Errno 1. pthread_mutex_unlock: Operation not permitted$"):
        mutex_unlock(address)
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="posix_fallocate: "):
            posix_fallocate(fd, 0, 1)
    finally:
        os.close(fd)
    assert recent_calls() == [
        f"pthread_mutex_unlock({address:#x}) = 1 EPERM",
        f"posix_fallocate({fd}, 0, 1) = 9 EBADF",
    ]
    mutex_destroy(address)


def test_recent_calls_have_arguments_and_results(tmp_path):
    libc.forget_calls()
    assert recent_calls() == []
    with pytest.raises(OSError, match="mmap: "):
        kernel.mmap(None, 0, 0, kernel.MAP_SHARED | kernel.MAP_ANONYMOUS)
    assert recent_calls() == ["mmap(0, 0, 0, 33, -1, 0) = -1 EINVAL"]
    libc.forget_calls()
    fds = kernel.pipe2()
    close(fds[1])
    with pytest.raises(OSError, match="close"):
        close(-1)
    with pytest.raises(FileNotFoundError):
        kernel.open(tmp_path / "nothing", os.O_RDONLY)
    read(fds[0], 5)
    with pytest.raises(OSError, match="system call"):
        libc.syscall(100000, 7)
    missing = str(tmp_path / "nothing").encode()
    assert recent_calls() == [
        "pipe2(&, 0) = 0",
        f"close({fds[1]}) = 0",
        "close(-1) = -1 EBADF",
        "open({}, 0, 384) = -1 ENOENT".format(repr(missing) if len(missing) <= 100 else "&"),
        f"read({fds[0]}, &, 5) = 0",
        "system call 100000(7) = -1 ENOSYS",
    ]
    for _ in range(30):
        libc.fflush()
    assert recent_calls() == ["fflush(NULL) = 0"] * 20
    close(fds[0])


def test_recent_calls_keep_no_argument_alive():
    """A kept buffer would prevent its memory map from being closed."""
    readable, writable = os.pipe()
    os.write(writable, b"abc")
    memory = mmap(-1, 4096)
    array = (ctypes.c_char * 3).from_buffer(memory)
    function("read", c_ssize_t, c_int, c_void_p, c_size_t)(readable, array, 3)
    assert bytes(array) == b"abc"
    del array
    memory.close()
    for fd in (readable, writable):
        os.close(fd)


def read_under_a_handler_that_fails_at_something_else(fd, guard):
    def handler(_signo, _frame):
        with guard(), pytest.raises(OSError, match="close"):
            close(-1)

    signal.signal(signal.SIGUSR1, handler)
    sigaction_change(signal.SIGUSR1, 0)
    try:
        read(fd, 1)
    except OSError as error:
        return error.errno
    return 0


@pytest.mark.parametrize(("guard", "errno"), [(errno_kept, EINTR), (nullcontext, EBADF)], ids=["guarded", "bare"])
def test_errno_kept_protects_the_interrupted_call(pipe, fork, guard, errno):
    child = fork(read_under_a_handler_that_fails_at_something_else, pipe().read_fd, guard)
    child.wait_blocked("read")
    child.signal(signal.SIGUSR1)
    assert child.result() == errno


def test_caught_signal_keeps_the_errno(pipe, fork):
    def life(fd):
        def handler(_signo, _frame):
            with pytest.raises(OSError, match="close"):
                close(-1)

        with scope() as ipc:
            caught = ipc.signals.catch(signal.SIGUSR1, handler)
            with pytest.raises(InterruptedError):
                read(fd, 1)
            return caught.count

    child = fork(life, pipe().read_fd)
    child.wait_blocked("read")
    child.signal(signal.SIGUSR1)
    assert child.result() == 1
