"""sigprocmask(2), sigpending(2): blocked and pending signals, also across fork() and execve()."""

from __future__ import annotations

import os
import signal
import threading
from errno import EINVAL
from signal import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2

from pytest_ipc import Child, clause, disputed, fails_with
from pytest_ipc.kernel import kill, pause, process_status, sigpending, sigprocmask, tgkill

from .plain_child import CATCHABLE, become_program, in_thread, printed


@clause("sigmask.block-unblock-set", "sigprocmask(2)", "DESCRIPTION")
def test_block_unblock_and_setmask(fork):
    """SIG_BLOCK adds to the mask, SIG_UNBLOCK removes from it, SIG_SETMASK replaces it, and sigprocmask() returns
    the previous mask.
    """

    def life() -> list[frozenset[int]]:
        return [
            sigprocmask(SIG_BLOCK, {SIGUSR1}),
            sigprocmask(SIG_BLOCK, {SIGUSR2}),
            sigprocmask(SIG_UNBLOCK, {SIGUSR1, SIGTERM}),
            sigprocmask(SIG_SETMASK, {SIGTERM}),
            sigprocmask(SIG_SETMASK, ()),
        ]

    assert fork(life).result() == [set(), {SIGUSR1}, {SIGUSR1, SIGUSR2}, {SIGUSR2}, {SIGTERM}]


@clause("sigmask.null-set-reads", "sigprocmask(2)", "DESCRIPTION")
def test_null_set_only_returns_mask(fork):
    """sigprocmask() with a NULL set returns the mask without changing it, whatever how."""

    def life() -> list[frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1})
        return [sigprocmask(how, None) for how in (SIG_SETMASK, SIG_UNBLOCK, 99)]

    assert fork(life).result() == [{SIGUSR1}] * 3


@clause("sigmask.unknown-how-einval", "sigprocmask(2)", "ERRORS", errno=EINVAL)
def test_unknown_how_fails(fork):
    """sigprocmask() fails with EINVAL for an unknown how, and does not change the mask."""

    def life() -> frozenset[int]:
        sigprocmask(SIG_SETMASK, {SIGUSR1})
        with fails_with(EINVAL):
            sigprocmask(SIG_SETMASK + 1, {SIGUSR2})
        with fails_with(EINVAL):
            sigprocmask(-1, {SIGUSR2})
        return sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == {SIGUSR1}


@clause("sigmask.cannot-block-kill-stop", "sigprocmask(2)", "NOTES")
def test_kill_and_stop_cannot_be_blocked(fork):
    """sigprocmask() silently ignores SIGKILL and SIGSTOP in the set."""

    def life() -> frozenset[int]:
        sigprocmask(SIG_SETMASK, {SIGKILL, SIGSTOP, SIGUSR1})
        return sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == {SIGUSR1}


@clause("sigmask.all-blocked-can-be-killed", "signal(7)", "Standard signals")
def test_process_that_blocks_all_can_be_stopped_and_killed(fork):
    """SIGSTOP and SIGKILL stop and terminate a process that blocks and ignores all other signals."""

    def life() -> None:
        for signo in CATCHABLE:
            signal.signal(signo, signal.SIG_IGN)
        sigprocmask(SIG_SETMASK, {*CATCHABLE, SIGKILL, SIGSTOP})
        pause()

    child = fork(life)
    child.wait_blocked("pause")
    child.signal(SIGSTOP)
    child.wait_state("T")
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL


@clause("sigmask.blocked-waits-until-unblocked", "signal(7)", "Signal mask and pending signals")
def test_blocked_signal_pends_until_unblocked(fork, signals):
    """A blocked signal pends and is delivered only when it is unblocked; then it no longer pends."""

    def life() -> None:
        caught = signals.catch(SIGUSR1)
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        assert caught.count == 0
        assert sigpending() == {SIGUSR1}
        sigprocmask(SIG_UNBLOCK, {SIGUSR1})
        assert sigpending() == set()
        assert caught.count == 1

    fork(life).result()


@clause("sigmask.delivery-before-return", "sigprocmask(3p)", "DESCRIPTION")
def test_unblocked_signal_is_delivered_before_return(fork):
    """If sigprocmask() unblocks a pending signal, that is delivered before the call returns."""

    def life() -> None:
        sigprocmask(SIG_BLOCK, {SIGTERM})
        kill(os.getpid(), SIGTERM)
        print("blocked", flush=True)
        sigprocmask(SIG_UNBLOCK, {SIGTERM})
        os.write(1, b"returned")

    child = fork(life)
    assert child.wait() == -SIGTERM
    assert child.output == "blocked\n"


@clause("sigmask.per-thread", "signal(7)", "Signal mask and pending signals")
def test_mask_is_per_thread(fork):
    """Each thread has its own mask: a new thread starts with its creator's mask, and changes do not affect the
    other.
    """

    def life() -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1})

        def change() -> tuple[frozenset[int], frozenset[int]]:
            return sigprocmask(SIG_SETMASK, {SIGUSR2}), sigprocmask(SIG_BLOCK, None)

        return *in_thread(change), sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == ({SIGUSR1}, {SIGUSR2}, {SIGUSR1})


@clause("sigmask.fork-inherits", "signal(7)", "Signal mask and pending signals")
def test_fork_copies_mask(fork):
    """After fork() the child has a copy of the parent's mask; changes do not affect the parent."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1, SIGTERM})
        with Child.start(sigprocmask, (SIG_SETMASK, ())) as child:
            return child.result(), sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == ({SIGUSR1, SIGTERM}, {SIGUSR1, SIGTERM})


@clause("sigmask.exec-preserved", "signal(7)", "Signal mask and pending signals")
def test_mask_is_preserved_across_execve(fork):
    """The signal mask is preserved across execve()."""

    def life() -> None:
        sigprocmask(SIG_SETMASK, {SIGUSR1, SIGTERM})
        become_program("import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))")

    assert printed(fork(life)) == str(sorted([int(SIGUSR1), int(SIGTERM)]))


@clause("sigpending.blocked-raised", "sigpending(2)", "DESCRIPTION")
def test_pending_signals_are_raised_and_blocked(fork):
    """sigpending() returns the signals that were raised while blocked, and not those that are only blocked."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1, SIGUSR2})
        before = sigpending()
        kill(os.getpid(), SIGUSR1)
        return before, sigpending()

    assert fork(life).result() == (set(), {SIGUSR1})


def pend_both() -> None:
    """Block two signals and make SIGUSR1 pending for this thread and SIGUSR2 for the process."""
    sigprocmask(SIG_SETMASK, {SIGUSR1, SIGUSR2})
    tgkill(os.getpid(), threading.get_native_id(), SIGUSR1)
    kill(os.getpid(), SIGUSR2)


@clause("sigpending.union-thread-process", "signal(7)", "Signal mask and pending signals")
def test_sigpending_is_union_of_thread_and_process(fork):
    """sigpending() returns the signals pending for the calling thread or the process, but not those for another
    thread.
    """

    def life() -> tuple[frozenset[int], frozenset[int]]:
        pend_both()
        return sigpending(), in_thread(sigpending)

    assert fork(life).result() == ({SIGUSR1, SIGUSR2}, {SIGUSR2})


@clause("sigpending.proc-status-agrees", "signal(7)", "NOTES")
def test_proc_status_shows_signal_sets(fork):
    """/proc/PID/status shows the sets of signals pending for the thread, pending for the process, blocked, ignored
    and caught.
    """

    def life() -> dict[str, str]:
        pend_both()
        signal.signal(SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, lambda *_: None)
        return process_status()

    status = fork(life).result()
    expected = {
        "SigPnd": {SIGUSR1},
        "ShdPnd": {SIGUSR2},
        "SigBlk": {SIGUSR1, SIGUSR2},
        "SigIgn": {SIGTERM},
        "SigCgt": {signal.SIGHUP},
    }
    assert expected.keys() <= status.keys()
    shown = {name: {signo for signo in CATCHABLE if int(status[name], 16) >> signo - 1 & 1} for name in expected}
    assert shown == expected


@clause("sigpending.fork-empty", "signal(7)", "Signal mask and pending signals")
def test_fork_clears_pending_signals(fork):
    """After fork() the child has no pending signals; those of the parent stay pending."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        pend_both()
        with Child.start(sigpending) as child:
            return child.result(), sigpending() & {SIGUSR1, SIGUSR2}

    assert fork(life).result() == (set(), {SIGUSR1, SIGUSR2})


@clause("sigpending.exec-preserved", "signal(7)", "Signal mask and pending signals")
def test_pending_signals_are_preserved_across_execve(fork):
    """Pending signals, of the thread and of the process, are preserved across execve()."""

    def life() -> None:
        pend_both()
        become_program("import signal; print(sorted(map(int, signal.sigpending())))")

    assert printed(fork(life)) == str([int(SIGUSR1), int(SIGUSR2)])


@clause("sigpending.exec-then-unblock-kills", "signal(7)", "Signal mask and pending signals")
def test_signal_pending_across_execve_gets_default_action(fork, signals):
    """A caught signal that pends across execve() gets its default action when the program unblocks it."""

    def life() -> None:
        signals.catch(SIGUSR1)
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        become_program(
            "import signal; print('here', flush=True);"
            "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1]); print('there')"
        )

    child = fork(life)
    assert child.wait(timeout=60) == -SIGUSR1
    assert child.output == "here\n"


@clause("sigpending.blocked-and-ignored", "sigpending(2)", "NOTES", disputed="it is added while it is blocked")
def test_blocked_and_ignored_signal_does_not_pend(fork, signals):
    """A signal that is blocked and ignored is not added to the pending signals when it is raised."""

    def life() -> frozenset[int]:
        signals.ignore(SIGUSR1)
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        return sigpending()

    pending = fork(life).result()
    if pending == {SIGUSR1}:
        disputed(manual="it is not added to the pending signals", linux="adds it while it is blocked")
    assert pending == set()
