"""pidfd_getfd(2): what the duplicate of another process's descriptor shares, and who may have one."""

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
    """The duplicate of a descriptor of a process."""
    return pidfd_getfd(pidfd_open(pid), fd)


@clause("pidfd_getfd.cloexec", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
@pytest.mark.parametrize("inheritable", [False, True], ids=["cloexec", "inheritable"])
def test_the_duplicate_is_close_on_exec(fork, pipe, inheritable):
    """The duplicate has the close-on-exec flag, whether the descriptor of the other process has it or not."""
    ready, free = pipe(), min(77, getrlimit(RLIMIT_NOFILE)[0] - 1)

    def life() -> None:
        pid = sleeper(ready, lambda: os.dup2(0, free, inheritable))
        assert fcntl(fetched(pid, free), F_GETFD) == FD_CLOEXEC

    fork(life).result()


@clause("pidfd_getfd.status-flags", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
def test_the_duplicate_shares_the_status_flags(fork, pipe):
    """A status flag that is set on one of the two descriptors is set on the other."""
    ready, data = pipe(), pipe()

    def life() -> None:
        fd = fetched(sleeper(ready), data.read_fd)
        assert fd != data.read_fd
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | os.O_NONBLOCK)
        assert fcntl(data.read_fd, F_GETFL) & os.O_NONBLOCK

    fork(life).result()


@clause("pidfd_getfd.operations", "pidfd_getfd(2)", "DESCRIPTION", since="5.6")
def test_what_is_done_to_the_duplicate_is_done_to_the_object(fork, pipe, tmp_path):
    """An address that bind(2) gives a socket by the duplicate is that of the other process's socket."""
    ready, path = pipe(), str(tmp_path / "socket")

    def life() -> None:
        with socket.socket(socket.AF_UNIX) as theirs:
            number = theirs.fileno()
            pid = sleeper(ready)
            with socket.socket(fileno=fetched(pid, number)) as duplicate:
                duplicate.bind(path)
            assert theirs.getsockname() == path

    fork(life).result()


@clause("pidfd_getfd.emfile", "pidfd_getfd(2)", "ERRORS", errno=EMFILE, since="5.6")
def test_a_process_with_all_its_descriptors_fetches_none(fork, pipe):
    """A process that has as many descriptors open as it may cannot fetch another."""
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
def test_nothing_is_fetched_from_other_users(fork, pipe, ids):
    """No descriptor is fetched if one of the process's real, effective and saved ids is another's."""
    ready = pipe()

    def life() -> None:
        pid = sleeper(ready, with_ids(*ids))
        owned()
        with fails_with(EPERM):
            fetched(pid, ready.read_fd)

    fork(life).result()


@clause("pidfd_getfd.not-dumpable-eperm", "ptrace(2)", SECTION, errno=EPERM, since="5.6")
def test_nothing_is_fetched_from_who_is_not_dumpable(fork, pipe):
    """No descriptor is fetched by an unprivileged process from one whose "dumpable" attribute is not 1."""
    ready = pipe()

    def life() -> None:
        owned()
        pid = sleeper(ready, not_dumpable)
        with fails_with(EPERM):
            fetched(pid, ready.read_fd)

    fork(life).result()


@clause("pidfd_getfd.more-capabilities-eperm", "ptrace(2)", SECTION, errno=EPERM, since="5.6")
def test_nothing_is_fetched_from_the_more_capable(fork, pipe):
    """No descriptor is fetched from a process that is permitted a capability which the caller is not."""
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
def test_a_capability_lets_one_fetch_from_anybody(fork, pipe):
    """A process with CAP_SYS_PTRACE may fetch descriptors from processes of other users, dumpable or not."""
    ready = pipe()
    needs_sys_ptrace()

    def life() -> None:
        fd = fetched(sleeper(ready, stranger), ready.read_fd)
        assert os.path.samestat(os.fstat(fd), os.fstat(ready.read_fd))

    fork(life).result()
