"""signalfd(2): reading signals from a descriptor, to whom they belong, and errors."""

from __future__ import annotations

import os
import select
import signal
import sys
from errno import EAGAIN, EBADF, EINVAL
from signal import SIGCHLD, SIGKILL, SIGRTMIN, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import (
    CLD_EXITED,
    SFD_CLOEXEC,
    SFD_NONBLOCK,
    SI_QUEUE,
    SI_USER,
    SIGNALFD_SIGINFO_BYTES,
    kill,
    open_descriptors,
    read,
    signalfd,
    signalfd_read,
    sigpending,
    sigqueue,
    tgkill,
)

from .plain_child import become_program, in_thread, printed


@pytest.mark.usefixtures("sigpending_limit")
@clause("signalfd.read-struct", "signalfd(2)", "The signalfd_siginfo structure")
def test_read_returns_signalfd_siginfo(fork, signals):
    """read() of a signalfd returns a structure of 128 bytes with the signal's number, code, sender's IDs and value."""

    def life():
        signals.block(SIGUSR1)
        source = signalfd(-1, {SIGUSR1})
        info = signalfd_read(source)[0]
        assert len(read(source, 4096)) == SIGNALFD_SIGINFO_BYTES == 128
        return info.signo, info.code, info.pid, info.uid, info.value, info.errno

    reader = fork(life)
    reader.wait_blocked("read")
    sigqueue(reader.pid, SIGUSR1, -5)
    reader.wait_blocked("read")
    sigqueue(reader.pid, SIGUSR1, -5)
    assert reader.result() == (SIGUSR1, SI_QUEUE, os.getpid(), os.getuid(), -5, 0)


@clause("signalfd.read-several", "signalfd(2)", "DESCRIPTION")
def test_several_signals_are_read_at_once(fork, signals):
    """read() of a signalfd returns one structure for each pending signal, as many as fit the buffer; the others stay
    pending.
    """

    def life() -> None:
        signals.block(SIGUSR1, SIGRTMIN)
        source = signalfd(-1, {SIGUSR1, SIGRTMIN}, SFD_NONBLOCK)
        for value in range(3):
            sigqueue(os.getpid(), SIGRTMIN, value)
        kill(os.getpid(), SIGUSR1)
        got = [(info.signo, info.value) for info in signalfd_read(source, 3) + signalfd_read(source, 3)]
        assert sorted(got) == [(SIGUSR1, 0), (SIGRTMIN, 0), (SIGRTMIN, 1), (SIGRTMIN, 2)]
        assert len(got) == 4

    fork(life).result()


@clause("signalfd.consumes", "signalfd(2)", "DESCRIPTION")
def test_read_signal_no_longer_pends(fork, signals):
    """A signal read from a signalfd no longer pends: its handler does not run when it is unblocked."""

    def life():
        caught = signals.catch(SIGUSR1)
        signals.block(SIGUSR1)
        source = signalfd(-1, {SIGUSR1}, SFD_NONBLOCK)
        kill(os.getpid(), SIGUSR1)
        assert signalfd_read(source)[0].code == SI_USER
        assert sigpending() == set()
        with fails_with(EAGAIN):
            signalfd_read(source)
        signals.unblock(SIGUSR1)
        return caught.count

    assert fork(life).result() == 0


@clause("signalfd.only-the-set", "signalfd(2)", "DESCRIPTION")
def test_only_signals_of_mask_are_read(fork, signals):
    """A pending signal that is not in the mask of the signalfd is not read and stays pending."""

    def life() -> frozenset[int]:
        signals.block(SIGUSR1, SIGUSR2)
        source = signalfd(-1, {SIGUSR2}, SFD_NONBLOCK)
        kill(os.getpid(), SIGUSR1)
        with fails_with(EAGAIN):
            signalfd_read(source)
        return sigpending()

    assert fork(life).result() == {SIGUSR1}


@clause("signalfd.new-set-replaces", "signalfd(2)", "DESCRIPTION")
def test_existing_descriptor_gets_new_mask(fork, signals):
    """signalfd() with an existing signalfd replaces its mask and returns the same descriptor."""

    def life() -> None:
        signals.block(SIGUSR1, SIGUSR2)
        source = signalfd(-1, {SIGUSR1}, SFD_NONBLOCK)
        kill(os.getpid(), SIGUSR1)
        kill(os.getpid(), SIGUSR2)
        before = open_descriptors()
        assert signalfd(source, {SIGUSR2}) == source
        assert open_descriptors() == before
        assert signalfd_read(source, 9)[0].signo == SIGUSR2
        assert sigpending() == {SIGUSR1}

    fork(life).result()


@clause("signalfd.read-eagain", "signalfd(2)", "DESCRIPTION", errno=EAGAIN)
def test_read_without_pending_signal_fails(fork, signals):
    """read() of a nonblocking signalfd fails with EAGAIN if no signal of its mask is pending."""

    def life() -> None:
        signals.block(SIGUSR1)
        with fails_with(EAGAIN):
            signalfd_read(signalfd(-1, {SIGUSR1}, SFD_NONBLOCK))

    fork(life).result()


@clause("signalfd.poll-readable", "signalfd(2)", "DESCRIPTION")
def test_signalfd_is_readable_while_signal_pends(fork, signals):
    """select() reports a signalfd as readable while a signal of its mask is pending, and only then."""

    def life() -> list[bool]:
        signals.block(SIGUSR1, SIGUSR2)
        source = signalfd(-1, {SIGUSR1}, SFD_NONBLOCK)

        def readable() -> bool:
            return bool(select.select([source], [], [], 0)[0])

        answers = [readable()]
        for signo in (SIGUSR2, SIGUSR1):
            kill(os.getpid(), signo)
            answers.append(readable())
        signalfd_read(source)
        return [*answers, readable()]

    assert fork(life).result() == [False, False, True, False]


@clause("signalfd.kill-stop-ignored-in-set", "signalfd(2)", "DESCRIPTION")
@pytest.mark.parametrize("signo", [SIGKILL, SIGSTOP], ids=["SIGKILL", "SIGSTOP"])
def test_kill_and_stop_are_ignored_in_mask(fork, signals, signo):
    """signalfd() silently ignores SIGKILL and SIGSTOP in the mask: they kill and stop the process."""

    def life() -> None:
        signals.block(SIGUSR1)
        signalfd_read(signalfd(-1, {SIGKILL, SIGSTOP, SIGUSR1}))

    reader = fork(life)
    reader.wait_blocked("read")
    reader.signal(signo)
    reader.wait_state("TZX")
    assert reader.alive == (signo == SIGSTOP)


@clause("signalfd.closed-ebadf", "signalfd(2)", "ERRORS", errno=EBADF)
def test_invalid_descriptor_fails():
    """signalfd() fails with EBADF for an invalid descriptor other than -1."""
    closed = os.dup(0)
    os.close(closed)
    for fd in (closed, -2):
        with fails_with(EBADF):
            signalfd(fd, {SIGUSR1})


@clause("signalfd.errors", "signalfd(2)", "ERRORS", errno=EINVAL)
def test_other_descriptor_fails(pipe):
    """signalfd() fails with EINVAL for a descriptor that is not a signalfd, and does not change it."""
    channel = pipe()
    with fails_with(EINVAL):
        signalfd(channel.read_fd, {SIGUSR1})
    channel.write(b"x")
    assert channel.read(1) == b"x"


@clause("signalfd.unknown-flag-einval", "signalfd(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("flag", [1, 2, 0x4000_0000])
def test_unknown_flag_fails(flag):
    """signalfd() fails with EINVAL for an unknown flag, alone or with known flags, and opens no descriptor."""
    before = open_descriptors()
    for flags in (flag, flag | SFD_CLOEXEC | SFD_NONBLOCK):
        with fails_with(EINVAL):
            signalfd(-1, {SIGUSR1}, flags)
    assert open_descriptors() == before


@clause("signalfd.short-read-einval", "signalfd(2)", "DESCRIPTION", errno=EINVAL)
def test_too_small_buffer_fails(fork, signals):
    """read() of a signalfd fails with EINVAL if the buffer is smaller than one structure, and the signal stays
    pending.
    """

    def life() -> frozenset[int]:
        signals.block(SIGUSR1)
        source = signalfd(-1, {SIGUSR1}, SFD_NONBLOCK)
        kill(os.getpid(), SIGUSR1)
        with fails_with(EINVAL):
            read(source, SIGNALFD_SIGINFO_BYTES - 1)
        return sigpending()

    assert fork(life).result() == {SIGUSR1}


@clause("signalfd.cloexec-nonblock", "signalfd(2)", "DESCRIPTION")
@pytest.mark.parametrize("flags", [0, SFD_CLOEXEC, SFD_NONBLOCK, SFD_CLOEXEC | SFD_NONBLOCK])
def test_flags_set_cloexec_and_nonblock(flags):
    """SFD_CLOEXEC sets close-on-exec and SFD_NONBLOCK sets O_NONBLOCK on the descriptor; without them neither is
    set.
    """
    fd = signalfd(-1, {SIGUSR1}, flags)
    found = os.get_inheritable(fd), os.get_blocking(fd)
    os.close(fd)
    assert found == (not flags & SFD_CLOEXEC, not flags & SFD_NONBLOCK)


@clause("signalfd.child-status", "signalfd(2)", "The signalfd_siginfo structure")
def test_sigchld_reports_child_status(fork, signals):
    """A SIGCHLD read from a signalfd has the child's process ID, the code CLD_EXITED and its exit status."""

    def life() -> None:
        signals.block(SIGCHLD)
        source = signalfd(-1, {SIGCHLD})
        with Child.start(os._exit, (7,)) as child:
            info = signalfd_read(source)[0]
            assert (info.signo, info.code, info.pid, info.status) == (SIGCHLD, CLD_EXITED, child.pid, 7)

    fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("signalfd.fork-semantics", "signalfd(2)", "fork(2) semantics")
def test_child_reads_its_own_signals(fork, signals):
    """After fork() the child reads its own signals from the inherited signalfd; those of the parent stay pending
    there.
    """

    def life() -> None:
        signals.block(SIGUSR1)
        source = signalfd(-1, {SIGUSR1}, SFD_NONBLOCK)
        sigqueue(os.getpid(), SIGUSR1, 1)

        def child() -> int:
            with fails_with(EAGAIN):
                signalfd_read(source)
            sigqueue(os.getpid(), SIGUSR1, 2)
            return signalfd_read(source)[0].value

        with Child.start(child, keep={source}) as other:
            assert other.result() == 2
        assert signalfd_read(source)[0].value == 1

    fork(life).result()


@pytest.mark.usefixtures("sigpending_limit")
@clause("signalfd.exec-survives", "signalfd(2)", "execve(2) semantics")
def test_execve_keeps_signalfd(fork, signals):
    """A signalfd stays open across execve(), and a signal that was pending before can be read from it."""

    def life() -> None:
        signals.block(SIGRTMIN)
        source = signalfd(-1, {SIGRTMIN}, SFD_NONBLOCK)
        sigqueue(os.getpid(), SIGRTMIN, 9)
        os.set_inheritable(source, True)
        become_program("import os, sys; print(os.read(int(sys.argv[1]), 4096)[:4].hex())", source)

    assert printed(fork(life)) == int(SIGRTMIN).to_bytes(4, sys.byteorder).hex()


@clause("signalfd.thread-reads-its-own", "signalfd(2)", "Thread semantics")
def test_thread_reads_signals_for_itself_and_process(fork, signals):
    """A thread reads from a signalfd the signals for itself and for the process, and not those for another thread."""

    def life() -> None:
        signals.block(SIGUSR1, SIGUSR2)
        source = signalfd(-1, {SIGUSR1, SIGUSR2}, SFD_NONBLOCK)
        tgkill(os.getpid(), os.getpid(), SIGUSR1)
        with fails_with(EAGAIN):
            in_thread(signalfd_read, source)
        kill(os.getpid(), SIGUSR2)
        assert in_thread(signalfd_read, source)[0].signo == SIGUSR2
        assert signalfd_read(source)[0].signo == SIGUSR1

    fork(life).result()


@clause("signalfd.unblocked-is-delivered", "signalfd(2)", "NOTES")
def test_unblocked_signal_is_delivered(fork):
    """A signal in the mask of a signalfd that is not blocked is handled according to its disposition."""

    def life() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signalfd_read(signalfd(-1, {SIGTERM}))

    reader = fork(life)
    reader.wait_blocked("read")
    reader.signal(SIGTERM)
    assert reader.wait() == -SIGTERM
