"""pidfd_getfd(2): the state shared by the duplicate descriptor, and permissions."""

from __future__ import annotations

import os
import resource
import socket
from errno import EMFILE, EPERM
from fcntl import F_GETFD, F_GETFL, F_SETFL, FD_CLOEXEC, fcntl
from resource import RLIMIT_NOFILE, getrlimit

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import pidfd_getfd, pidfd_open

from ..ptrace.access import (
    OTHERS,
    needs_sys_ptrace,
    not_dumpable,
    owned,
    sleeper,
    stranger,
    with_ids,
    without_capabilities,
)
from ..ptrace.conftest import fork, leave_to_trace
from ..signal.conftest import other_users

__all__ = ["fork", "leave_to_trace", "other_users"]

SECTION = "Ptrace access mode checking"


def fetched(pid: int, fd: int) -> int:
    """Return the duplicate of a descriptor of a process."""
    return pidfd_getfd(pidfd_open(pid), fd)


@clause("pidfd_getfd.cloexec", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
@pytest.mark.parametrize("inheritable", [False, True], ids=["cloexec", "inheritable"])
def test_duplicate_is_close_on_exec(fork, pipe, inheritable):
    """pidfd_getfd() sets close-on-exec on the duplicate, whatever the flag of the original descriptor."""
    ready, free = pipe(), min(77, getrlimit(RLIMIT_NOFILE)[0] - 1)

    def life() -> None:
        pid = sleeper(ready, lambda: os.dup2(0, free, inheritable))
        assert fcntl(fetched(pid, free), F_GETFD) == FD_CLOEXEC

    fork(life).result()


@clause("pidfd_getfd.status-flags", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
def test_duplicate_shares_status_flags(fork, pipe):
    """The duplicate of pidfd_getfd() shares the file status flags with the original descriptor."""
    ready, data = pipe(), pipe()

    def life() -> None:
        fd = fetched(sleeper(ready), data.read_fd)
        assert fd != data.read_fd
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | os.O_NONBLOCK)
        assert fcntl(data.read_fd, F_GETFL) & os.O_NONBLOCK

    fork(life).result()


@clause("pidfd_getfd.operations", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
def test_operations_on_duplicate_affect_same_object(fork, pipe, tmp_path, monkeypatch):
    """An operation on the duplicate of pidfd_getfd() affects the same object: bind() of it binds the other process's
    socket.
    """
    ready, path = pipe(), "socket"
    monkeypatch.chdir(tmp_path)  # an address has room for 107 bytes

    def life() -> None:
        with socket.socket(socket.AF_UNIX) as theirs:
            number = theirs.fileno()
            pid = sleeper(ready)
            with socket.socket(fileno=fetched(pid, number)) as duplicate:
                duplicate.bind(path)
            assert theirs.getsockname() == path

    fork(life).result()


@clause("pidfd_getfd.emfile", "pidfd_getfd(2)", "ERRORS", errno=EMFILE, since="5.6")
def test_descriptor_limit_fails(fork, pipe):
    """pidfd_getfd() fails with EMFILE if the process has reached its limit of open descriptors."""
    ready = pipe()

    def life() -> None:
        pidfd = pidfd_open(sleeper(ready))
        resource.setrlimit(resource.RLIMIT_NOFILE, (pidfd + 1, pidfd + 1))
        try:
            while True:
                os.open(os.devnull, os.O_RDONLY)
        except OSError:
            with fails_with(EMFILE):
                pidfd_getfd(pidfd, ready.read_fd)

    fork(life).result()


@clause("pidfd_getfd.other-ids-eperm", "ptrace(2)", SECTION, errno=EPERM, since="5.6")
@pytest.mark.usefixtures("other_users")
@OTHERS
def test_process_of_other_user_fails(fork, pipe, ids):
    """pidfd_getfd() fails with EPERM if one of the target's real, effective and saved IDs differs from the caller's."""
    ready = pipe()

    def life() -> None:
        pid = sleeper(ready, with_ids(*ids))
        owned()
        with fails_with(EPERM):
            fetched(pid, ready.read_fd)

    fork(life).result()


@clause("pidfd_getfd.not-dumpable-eperm", "ptrace(2)", SECTION, errno=EPERM, since="5.6")
def test_not_dumpable_process_fails(fork, pipe):
    """pidfd_getfd() by an unprivileged process fails with EPERM if the target's "dumpable" attribute is not 1."""
    ready = pipe()

    def life() -> None:
        owned()
        pid = sleeper(ready, not_dumpable)
        with fails_with(EPERM):
            fetched(pid, ready.read_fd)

    fork(life).result()


@clause("pidfd_getfd.more-capabilities-eperm", "ptrace(2)", SECTION, errno=EPERM, since="5.6")
def test_more_capable_process_fails(fork, pipe):
    """pidfd_getfd() fails with EPERM if the target has a permitted capability that the caller lacks."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        pid = sleeper(ready)
        without_capabilities()
        with fails_with(EPERM):
            fetched(pid, ready.read_fd)

    fork(life).result()


@clause("pidfd_getfd.cap_sys_ptrace", "ptrace(2)", SECTION, since="5.6")
@pytest.mark.usefixtures("other_users")
def test_cap_sys_ptrace_permits_all_processes(fork, pipe):
    """A process with CAP_SYS_PTRACE may use pidfd_getfd() on processes of other users, dumpable or not."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        fd = fetched(sleeper(ready, stranger), ready.read_fd)
        assert os.path.samestat(os.fstat(fd), os.fstat(ready.read_fd))

    fork(life).result()
