"""sigprocmask(2), sigpending(2): what is blocked, what waits, and what becomes of both over fork and exec."""

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
def test_the_mask_is_added_to_taken_from_and_set(fork):
    """SIG_BLOCK adds to the mask, SIG_UNBLOCK takes away from it, SIG_SETMASK sets it, and each tells the mask before."""

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
def test_without_a_set_the_mask_is_only_told(fork):
    """Without a new set the mask stays what it is, whatever the first argument says, and is told."""

    def life() -> list[frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1})
        return [sigprocmask(how, None) for how in (SIG_SETMASK, SIG_UNBLOCK, 99)]

    assert fork(life).result() == [{SIGUSR1}] * 3


@clause("sigmask.unknown-how-einval", "sigprocmask(2)", "ERRORS", errno=EINVAL)
def test_another_way_to_change_the_mask_is_refused(fork):
    """A first argument that is none of the three ways fails and leaves the mask as it was."""

    def life() -> frozenset[int]:
        sigprocmask(SIG_SETMASK, {SIGUSR1})
        with fails_with(EINVAL):
            sigprocmask(SIG_SETMASK + 1, {SIGUSR2})
        with fails_with(EINVAL):
            sigprocmask(-1, {SIGUSR2})
        return sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == {SIGUSR1}


@clause("sigmask.cannot-block-kill-stop", "sigprocmask(2)", "NOTES")
def test_kill_and_stop_are_never_in_the_mask(fork):
    """Asking to block SIGKILL and SIGSTOP is no error, and does not block them."""

    def life() -> frozenset[int]:
        sigprocmask(SIG_SETMASK, {SIGKILL, SIGSTOP, SIGUSR1})
        return sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == {SIGUSR1}


@clause("sigmask.all-blocked-can-be-killed", "signal(7)", "Standard signals")
def test_a_process_that_blocks_everything_is_stopped_and_killed(fork):
    """A process that has asked to block and to ignore everything is stopped by SIGSTOP and ended by SIGKILL all the same."""

    def life() -> None:
        for signo in CATCHABLE:
            signal.signal(signo, signal.SIG_IGN)
        sigprocmask(SIG_SETMASK, {*CATCHABLE, SIGKILL, SIGSTOP})
        pause()

    actor = fork(life)
    actor.wait_blocked("pause")
    actor.signal(SIGSTOP)
    actor.wait_state("T")
    actor.signal(SIGKILL)
    assert actor.wait() == -SIGKILL


@clause("sigmask.blocked-waits-until-unblocked", "signal(7)", "Signal mask and pending signals")
def test_a_blocked_signal_waits(fork, signals):
    """A blocked signal is not delivered before it is unblocked; then it is, and pends no more."""

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
def test_what_was_pending_is_delivered_before_the_call_returns(fork):
    """Where unblocking lets a pending signal through, it is delivered before the call returns: after SIGTERM there is no return."""

    def life() -> None:
        sigprocmask(SIG_BLOCK, {SIGTERM})
        kill(os.getpid(), SIGTERM)
        print("blocked", flush=True)
        sigprocmask(SIG_UNBLOCK, {SIGTERM})
        os.write(1, b"returned")

    actor = fork(life)
    assert actor.wait() == -SIGTERM
    assert actor.output == "blocked\n"


@clause("sigmask.per-thread", "signal(7)", "Signal mask and pending signals")
def test_every_thread_has_a_mask_of_its_own(fork):
    """A new thread starts with its maker's mask; from then on what either changes is its own."""

    def life() -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1})

        def change() -> tuple[frozenset[int], frozenset[int]]:
            return sigprocmask(SIG_SETMASK, {SIGUSR2}), sigprocmask(SIG_BLOCK, None)

        return *in_thread(change), sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == ({SIGUSR1}, {SIGUSR2}, {SIGUSR1})


@clause("sigmask.fork-inherits", "signal(7)", "Signal mask and pending signals")
def test_a_child_has_a_copy_of_the_mask(fork):
    """A forked child starts with its parent's mask; what it changes then is its own."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1, SIGTERM})
        with Child.start(sigprocmask, (SIG_SETMASK, ())) as child:
            return child.result(), sigprocmask(SIG_BLOCK, None)

    assert fork(life).result() == ({SIGUSR1, SIGTERM}, {SIGUSR1, SIGTERM})


@clause("sigmask.exec-preserved", "signal(7)", "Signal mask and pending signals")
def test_the_mask_stays_over_exec(fork):
    """What was blocked is still blocked in a program that the process executes, and nothing else."""

    def life() -> None:
        sigprocmask(SIG_SETMASK, {SIGUSR1, SIGTERM})
        become_program("import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))")

    assert printed(fork(life)) == str(sorted([int(SIGUSR1), int(SIGTERM)]))


@clause("sigpending.blocked-raised", "sigpending(2)", "DESCRIPTION")
def test_pending_is_what_was_raised_while_blocked(fork):
    """Pending is what is blocked and was raised, and not what is only blocked."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        sigprocmask(SIG_SETMASK, {SIGUSR1, SIGUSR2})
        before = sigpending()
        kill(os.getpid(), SIGUSR1)
        return before, sigpending()

    assert fork(life).result() == (set(), {SIGUSR1})


def pend_both() -> None:
    """Block two signals, and have SIGUSR1 pending for this thread, SIGUSR2 for the process."""
    sigprocmask(SIG_SETMASK, {SIGUSR1, SIGUSR2})
    tgkill(os.getpid(), threading.get_native_id(), SIGUSR1)
    kill(os.getpid(), SIGUSR2)


@clause("sigpending.union-thread-process", "signal(7)", "Signal mask and pending signals")
def test_pending_is_the_thread_s_and_the_process_s(fork):
    """A thread finds pending what was sent to it and what was sent to the process, and not what was sent to another thread."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        pend_both()
        return sigpending(), in_thread(sigpending)

    assert fork(life).result() == ({SIGUSR1, SIGUSR2}, {SIGUSR2})


@clause("sigpending.proc-status-agrees", "signal(7)", "NOTES")
def test_proc_shows_what_pends_and_what_is_blocked(fork):
    """/proc/PID/status shows apart what pends for the thread and for the process, and what is blocked, ignored and caught."""

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
def test_nothing_pends_in_a_new_child(fork):
    """A forked child starts with nothing pending, whatever pends for its parent, whose signals stay."""

    def life() -> tuple[frozenset[int], frozenset[int]]:
        pend_both()
        with Child.start(sigpending) as child:
            return child.result(), sigpending() & {SIGUSR1, SIGUSR2}

    assert fork(life).result() == (set(), {SIGUSR1, SIGUSR2})


@clause("sigpending.exec-preserved", "signal(7)", "Signal mask and pending signals")
def test_what_pends_stays_over_exec(fork):
    """What was pending, for the thread or for the process, still pends in a program that the process executes."""

    def life() -> None:
        pend_both()
        become_program("import signal; print(sorted(map(int, signal.sigpending())))")

    assert printed(fork(life)) == str([int(SIGUSR1), int(SIGUSR2)])


@clause("sigpending.exec-then-unblock-kills", "signal(7)", "Signal mask and pending signals")
def test_what_pends_over_exec_meets_the_default(fork, signals):
    """A caught signal that pended over exec has lost its handler: unblocked, it ends the program."""

    def life() -> None:
        signals.catch(SIGUSR1)
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        become_program(
            "import signal; print('here', flush=True);"
            "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1]); print('there')"
        )

    actor = fork(life)
    assert actor.wait(60) == -SIGUSR1
    assert actor.output == "here\n"


@clause("sigpending.blocked-and-ignored", "sigpending(2)", "NOTES", disputed="it is added while it is blocked")
def test_what_is_blocked_and_ignored_does_not_pend(fork, signals):
    """A signal that is blocked and ignored is not added to the pending ones when it is raised."""

    def life() -> frozenset[int]:
        signals.ignore(SIGUSR1)
        sigprocmask(SIG_BLOCK, {SIGUSR1})
        kill(os.getpid(), SIGUSR1)
        return sigpending()

    pending = fork(life).result()
    if pending == {SIGUSR1}:
        disputed(manual="that it is not added to the pending signals", linux="adds it while it is blocked")
    assert pending == set()
