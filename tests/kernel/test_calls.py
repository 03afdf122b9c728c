"""A round trip of every family of calls: values come back unchanged, and EINTR is visible."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import stat
from errno import EAGAIN, EBADF, EINTR, EINVAL, ENOENT, ESRCH

import pytest

import pytest_ipc
from pytest_ipc import fails_with
from pytest_ipc import kernel as ipc


def at_index(index: int) -> ipc.ShmidDs | None:
    try:
        return ipc.shmctl_stat(index, ipc.SHM_STAT)
    except OSError:
        return None


def test_segment_is_created_attached_and_removed():
    shmid = ipc.shmget(ipc.IPC_PRIVATE, 5000, 0o600)
    try:
        address = ipc.shmat(shmid)
        other = ipc.shmat(shmid, None, ipc.SHM_RDONLY)
        ctypes.memmove(address + 4999, b"x", 1)
        assert ctypes.string_at(other + 4999, 1) == b"x"
        ds = ipc.shmctl_stat(shmid)
        assert (ds.id, ds.segsz, ds.nattch, ds.perm.mode & 0o777) == (shmid, 5000, 2, 0o600)
        ipc.shmctl_set(shmid, mode=0o640)
        assert ipc.shmctl_stat(shmid).perm.mode & 0o777 == 0o640
        for attached in (address, other):
            ipc.shmdt(attached)
        with fails_with(EINVAL):
            ipc.shmdt(address)
        limits, info = ipc.shmctl_limits(), ipc.shmctl_info()
        assert (limits.shmmin, limits.shmmni > 0, info.used_ids > 0) == (1, True, True)
        every = [found for index in range(info.highest + 1) if (found := at_index(index))]
        assert [found for found in every if found.id == shmid] == [ipc.shmctl_stat(shmid)]
    finally:
        ipc.shmctl_rmid(shmid)
    with fails_with(EINVAL):
        ipc.shmctl_stat(shmid)
    assert ipc.shmlba() % os.sysconf("SC_PAGESIZE") == 0


def test_ftok_depends_on_the_file_and_the_low_byte_of_proj_id(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    key = ipc.ftok(first, 1)
    status = first.stat()
    assert key & 0xFFFF_FFFF == 1 << 24 | (status.st_dev & 0xFF) << 16 | status.st_ino & 0xFFFF
    assert ipc.ftok(str(first), 0x101) == key != ipc.ftok(first, 2)
    assert ipc.ftok(second, 1) != key
    with fails_with(ENOENT):
        ipc.ftok(tmp_path / "third", 1)


def test_read_returns_bytes_written_to_a_pipe():
    reader, writer = ipc.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        with fails_with(EAGAIN):
            ipc.read(reader, 1)
        assert ipc.write(writer, b"a\0b") == 3
        assert ipc.read(reader, 100) == b"a\0b"
        assert os.get_inheritable(reader) is False
        assert ipc.setpipe_size(writer, 10000) == ipc.getpipe_size(reader) >= 10000
    finally:
        ipc.close(writer)
    assert ipc.read(reader, 1) == b""
    ipc.close(reader)
    with fails_with(EBADF):
        ipc.close(reader)


def test_tee_copies_without_consuming(pipe):
    source, copy = pipe(), pipe()
    source.write(b"water")
    assert ipc.tee(source.read_fd, copy.write_fd, 100) == 5
    assert (source.read(), copy.read()) == (b"water", b"water")


def test_mkfifo_creates_a_fifo_that_opens(tmp_path):
    ipc.mkfifo(tmp_path / "one", 0o600)
    directory = ipc.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    ipc.mkfifoat(directory, "two", 0o600)
    ipc.close(directory)
    for name in ("one", b"two".decode()):
        assert stat.S_ISFIFO((tmp_path / name).stat().st_mode)
        ipc.close(ipc.open(os.fsencode(tmp_path / name), os.O_RDONLY | os.O_NONBLOCK))


@pytest.mark.parametrize("call", ["read", "open"])
def test_interrupted_call_fails_with_eintr(fork, pipe, fifo, call):
    def life(what):
        ipc.sigaction_change(signal.SIGUSR1, 0)
        try:
            ipc.read(what, 1) if call == "read" else ipc.open(what, os.O_RDONLY)
        except OSError as error:
            return error.errno
        return 0

    with pytest_ipc.scope() as scope:
        scope.signals.catch(signal.SIGUSR1)
        child = fork(life, pipe().read_fd if call == "read" else fifo().path)
        child.wait_blocked(call)
        child.signal(signal.SIGUSR1)
        assert child.result() == EINTR


def blocked(*signals: int) -> None:
    """Block signals in a child with one thread: any thread that does not block a process's signal may take it."""
    ipc.sigprocmask(signal.SIG_BLOCK, signals)


def test_sigwaitinfo_returns_the_value_of_sigqueue(fork):
    def life():
        blocked(signal.SIGUSR1, signal.SIGRTMIN)
        for value in (7, -7, (1 << 31) - 1, -(1 << 31)):
            ipc.sigqueue(os.getpid(), signal.SIGRTMIN, value)
        assert ipc.sigpending() & {signal.SIGUSR1, signal.SIGRTMIN} == {signal.SIGRTMIN}
        first = ipc.sigtimedwait([signal.SIGRTMIN], 5)
        assert (first.signo, first.code, first.value) == (signal.SIGRTMIN, ipc.SI_QUEUE, 7)
        assert (first.pid, first.uid) == (os.getpid(), os.getuid())
        rest = [ipc.sigwaitinfo([signal.SIGRTMIN]).value for _ in range(3)]
        assert rest == [-7, (1 << 31) - 1, -(1 << 31)]
        with fails_with(EAGAIN):
            ipc.sigtimedwait([signal.SIGRTMIN], 0)
        with fails_with(EINVAL):
            ipc.sigtimedwait([signal.SIGRTMIN], -1)

    fork(life).result()


def test_timeout_just_below_a_second_is_not_rounded_up(fork):
    def life():
        blocked(signal.SIGUSR1)
        ipc.kill(os.getpid(), signal.SIGUSR1)
        return ipc.sigtimedwait([signal.SIGUSR1], 1 - 1e-12).signo

    assert fork(life).result() == signal.SIGUSR1


def test_sigchld_of_a_killed_child_has_its_signal(fork):
    def life():
        blocked(signal.SIGCHLD)
        with pytest_ipc.scope() as scope:
            child = scope.fork(signal.pause)
            child.signal(signal.SIGKILL)
            info = ipc.sigtimedwait([signal.SIGCHLD], 5)
            assert (info.code, info.pid, info.status) == (ipc.CLD_KILLED, child.pid, signal.SIGKILL)

    fork(life).result()


def test_tgkill_signals_one_thread(fork):
    def life():
        blocked(signal.SIGUSR1)
        ipc.tgkill(os.getpid(), os.getpid(), signal.SIGUSR1)
        info = ipc.sigtimedwait([signal.SIGUSR1], 5)
        assert (info.signo, info.pid) == (signal.SIGUSR1, os.getpid())

    fork(life).result()


def test_sigaction_writes_back_what_it_read(signals):
    signals.catch(signal.SIGUSR1)
    mask = frozenset({signal.SIGUSR2, signal.SIGRTMAX})
    flags = ipc.SA_RESTART | ipc.SA_NODEFER | ipc.SA_RESETHAND
    before = ipc.sigaction_change(signal.SIGUSR1, flags, mask)
    after = ipc.sigaction(signal.SIGUSR1)
    assert (after.flags, after.mask, after.handler) == (flags, mask, before.handler)
    assert ipc.sigaction(signal.SIGUSR1, before) == after
    assert ipc.sigaction(signal.SIGUSR1) == before
    with pytest.raises(ValueError, match="signal must be a number from 1 to 1024, not 0"):
        ipc.sigaction_change(signal.SIGUSR1, 0, [0])


def test_sigprocmask_changes_the_mask_and_returns_the_previous_one(signals):
    signals.unblock(signal.SIGUSR1)
    before = ipc.sigprocmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    assert ipc.sigprocmask(signal.SIG_BLOCK) == before | {signal.SIGUSR1}
    assert ipc.sigprocmask(signal.SIG_SETMASK, before) == before | {signal.SIGUSR1}


@pytest.mark.parametrize("wait", [ipc.pause, lambda: ipc.sigsuspend(())], ids=["pause", "sigsuspend"])
def test_pause_and_sigsuspend_fail_with_eintr(fork, wait):
    def life():
        with pytest_ipc.scope() as scope:
            scope.signals.catch(signal.SIGUSR1)
            with fails_with(EINTR):
                wait()

    child = fork(life)
    child.wait_blocked("pause" if wait is ipc.pause else "sigsuspend")
    child.signal(signal.SIGUSR1)
    assert child.result() is None


def test_pidfd_becomes_readable_when_the_process_ends(fork, pipe):
    child = fork(os.read, pipe().read_fd, 1)
    pidfd = ipc.pidfd_open(child.pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(0) == []
    ipc.pidfd_send_signal(pidfd, 0)
    ipc.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert poll.poll(5000) == [(pidfd, select.POLLIN)]
    assert child.wait() == -signal.SIGKILL
    with fails_with(ESRCH):
        ipc.pidfd_send_signal(pidfd, 0)
    os.close(pidfd)


def test_prctl_sets_and_reads_an_option(fork):
    def life():
        value = ctypes.c_int()
        ipc.prctl(ipc.PR_SET_PDEATHSIG, signal.SIGUSR2)
        ipc.prctl(ipc.PR_GET_PDEATHSIG, ctypes.addressof(value))
        with fails_with(EINVAL):
            ipc.prctl(ipc.PR_SET_PDEATHSIG, 9999)
        return value.value

    assert fork(life).result() == signal.SIGUSR2


def test_unshare_with_invalid_flags_fails(fork):
    def life():
        with fails_with(EINVAL):
            ipc.unshare(0x40)

    fork(life).result()
