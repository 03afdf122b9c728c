"""sigaction(2): installing and examining actions, the flags, and the mask while a handler runs."""

from __future__ import annotations

import os
import signal
from errno import ECHILD, EINVAL
from signal import SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import Child, Pipe, clause, fails_with
from pytest_ipc.kernel import (
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SA_NODEFER,
    SA_RESETHAND,
    SA_RESTART,
    SigAction,
    kill,
    pause,
    sigaction,
    sigprocmask,
    sigtimedwait,
)

from .plain_child import SOON

DEFAULT, IGNORE = 0, 1
SA_UNSUPPORTED = 0x400
UNKNOWN = 0x2000  # no flag on any architecture


@clause("sigaction.install-query", "sigaction(2)", "DESCRIPTION")
def test_sigaction_returns_previous_action(fork):
    """sigaction() returns the previous action with handler, flags and mask; with a NULL new action it only returns
    the current one.
    """
    ignored = SigAction(IGNORE, SA_RESTART, frozenset({SIGUSR2, SIGTERM}))
    default = SigAction(DEFAULT, SA_NODEFER, frozenset())

    def life() -> list[SigAction]:
        sigaction(SIGUSR1, default)
        return [sigaction(SIGUSR1, new) for new in (ignored, None, None, default, None)]

    assert fork(life).result() == [default, ignored, ignored, ignored, default]


@clause("sigaction.einval-signum", "sigaction(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [0, -1, signal.NSIG], ids=["zero", "negative", "above-the-last"])
def test_invalid_signal_fails(fork, signo):
    """sigaction() fails with EINVAL for an invalid signal number, with and without a new action."""

    def life() -> None:
        with fails_with(EINVAL):
            sigaction(signo)
        with fails_with(EINVAL):
            sigaction(signo, SigAction(IGNORE, 0, frozenset()))

    fork(life).result()


@clause("sigaction.kill-stop-refused", "sigaction(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [SIGKILL, SIGSTOP], ids=["SIGKILL", "SIGSTOP"])
def test_kill_and_stop_cannot_be_caught_or_ignored(fork, signals, signo):
    """sigaction() fails with EINVAL for SIGKILL and SIGSTOP, which can be neither caught nor ignored."""

    def life() -> None:
        signals.catch(SIGUSR1)
        for handler in (IGNORE, sigaction(SIGUSR1).handler):
            with fails_with(EINVAL):
                sigaction(signo, SigAction(handler, 0, frozenset()))
        assert sigaction(SIGUSR1).handler not in (DEFAULT, IGNORE)

    fork(life).result()


@clause("sigaction.own-signal-blocked-in-handler", "sigaction(2)", "DESCRIPTION")
def test_own_signal_is_blocked_in_handler(held):
    """While a handler runs its signal is blocked: further instances are handled once, after the handler has
    returned.
    """
    child = held(SIGUSR1)
    child.receive(SIGUSR1)
    child.receive(SIGUSR1)
    assert child.release() == [SIGUSR1, SIGUSR1]


@clause("sigaction.nodefer", "sigaction(2)", "SA_NODEFER")
def test_nodefer_does_not_block_own_signal(held):
    """With SA_NODEFER the signal is not blocked while its handler runs: each further instance enters the handler at
    once.
    """
    child = held(SIGUSR1, SA_NODEFER)
    child.receive(SIGUSR1)
    child.receive(SIGUSR1)
    assert child.release() == [SIGUSR1, SIGUSR1, SIGUSR1]


@clause("sigaction.nodefer-yields-to-sa_mask", "sigaction(2)", "SA_NODEFER")
def test_sa_mask_overrides_nodefer(held):
    """SA_NODEFER does not unblock a signal that is in sa_mask."""
    child = held(SIGUSR1, SA_NODEFER, mask={SIGUSR1})
    child.receive(SIGUSR1)
    child.receive(SIGUSR1)
    assert child.release() == [SIGUSR1, SIGUSR1]


@clause("sigaction.sa_mask-blocked-in-handler", "sigaction(2)", "DESCRIPTION")
def test_sa_mask_is_blocked_in_handler(held):
    """While a handler runs the signals in its sa_mask are blocked, and are handled after it has returned."""
    child = held(SIGUSR1, mask={SIGUSR2}, also={SIGUSR2})
    child.receive(SIGUSR2)
    assert child.release() == [SIGUSR1, SIGUSR2]


@clause("sigaction.other-signals-interrupt-handler", "signal(7)", "Execution of signal handlers")
def test_other_signals_interrupt_handler(held):
    """A signal that is neither in sa_mask nor blocked interrupts a running handler."""
    child = held(SIGUSR1, mask={SIGTERM}, also={SIGUSR2})
    child.receive(SIGUSR2)
    assert child.release() == [SIGUSR2, SIGUSR1]


@clause("sigaction.mask-restored-after-handler", "signal(7)", "Execution of signal handlers")
def test_mask_is_restored_after_handler(held):
    """After a handler has returned the signal mask is that from before, without sa_mask and the signal."""
    child = held(SIGUSR1, mask={SIGUSR2, SIGTERM})
    child.release()
    assert child.process.result() == set()


@clause("sigaction.resethand", "sigaction(2)", "SA_RESETHAND")
def test_resethand_handles_once(fork, signals):
    """With SA_RESETHAND the handler runs once; then the disposition is SIG_DFL, and the next signal has its default
    action.
    """

    def life() -> None:
        caught = signals.catch(SIGUSR1, flags=SA_RESETHAND)
        kill(os.getpid(), SIGUSR1)
        print(caught.count, sigaction(SIGUSR1).handler, flush=True)
        kill(os.getpid(), SIGUSR1)

    child = fork(life)
    assert child.wait() == -SIGUSR1
    assert child.output.split() == ["1", str(DEFAULT)]


@clause("sigaction.resethand-on-entry", "sigaction(2)", "SA_RESETHAND")
def test_resethand_resets_on_entry(held):
    """SA_RESETHAND resets the action on entry to the handler: with SA_NODEFER a second signal terminates the process
    in the handler.
    """
    child = held(SIGUSR1, SA_RESETHAND | SA_NODEFER)
    child.process.signal(SIGUSR1)
    assert child.process.wait() == -SIGUSR1
    assert child.release() == []


def code_of_the_first_sigchld() -> int:
    """Stop, continue and kill a child; return the code of the first SIGCHLD, which later instances do not replace."""
    sigprocmask(signal.SIG_BLOCK, {SIGCHLD})
    with Child.start(pause) as child:
        child.signal(SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        child.signal(SIGCONT)
        os.waitpid(child.pid, os.WCONTINUED)
        child.signal(SIGKILL)
        child.wait()
        return sigtimedwait({SIGCHLD}, SOON).code


@clause("sigaction.nocldstop", "sigaction(2)", "SA_NOCLDSTOP")
def test_nocldstop_suppresses_sigchld_for_stops(fork, signals):
    """With SA_NOCLDSTOP the parent gets no SIGCHLD when a child stops or continues, only when it terminates."""

    def life(flags: int) -> int:
        signals.catch(SIGCHLD, flags=flags)
        return code_of_the_first_sigchld()

    assert fork(life, 0).result() == CLD_STOPPED
    assert fork(life, SA_NOCLDSTOP).result() == CLD_KILLED


def wait_for_a_child_that_vanishes(fork, pipe: Pipe, action: SigAction) -> None:
    """Assert that under *action* for SIGCHLD wait(2) blocks until a child terminates and then fails with ECHILD."""

    def life() -> None:
        sigaction(SIGCHLD, action)
        with Child.start(pipe.read, (1,), keep={pipe.read_fd}), fails_with(ECHILD):
            os.wait()

    parent = fork(life)
    parent.wait_blocked("wait4")
    pipe.write(b"!")
    parent.result()


@clause("sigaction.nocldwait-no-zombie", "sigaction(2)", "SA_NOCLDWAIT")
def test_nocldwait_leaves_no_zombies(fork, pipe):
    """With SA_NOCLDWAIT terminated children do not become zombies: wait() blocks until the last terminates and fails
    with ECHILD.
    """
    wait_for_a_child_that_vanishes(fork, pipe(), SigAction(DEFAULT, SA_NOCLDWAIT, frozenset()))


@clause("sigaction.ign-chld-no-zombie", "wait(2)", "NOTES")
def test_ignored_sigchld_leaves_no_zombies(fork, pipe):
    """With SIGCHLD ignored terminated children do not become zombies: wait() blocks until the last terminates and
    fails with ECHILD.
    """
    wait_for_a_child_that_vanishes(fork, pipe(), SigAction(IGNORE, 0, frozenset()))


@clause("sigaction.nocldwait-linux-sigchld-sent", "sigaction(2)", "SA_NOCLDWAIT")
def test_nocldwait_still_sends_sigchld(fork, signals):
    """With SA_NOCLDWAIT and a handler for SIGCHLD the parent gets SIGCHLD when a child terminates."""

    def life() -> tuple[int, int]:
        signals.catch(SIGCHLD, flags=SA_NOCLDWAIT)
        signals.block(SIGCHLD)
        with Child.start(os._exit, (3,)) as child:
            info = sigtimedwait({SIGCHLD}, SOON)
            assert info.pid == child.pid
            assert child.wait() is None
            return info.code, info.status

    assert fork(life).result() == (CLD_EXITED, 3)


@clause("sigaction.unknown-flags-cleared", "sigaction(2)", "Dynamically probing for flag bit support", since="5.11")
def test_unknown_flags_are_cleared(fork, signals):
    """sigaction() accepts unknown flags, including SA_UNSUPPORTED, and does not return them with the action."""

    def life() -> int:
        signals.catch(SIGUSR1, flags=SA_UNSUPPORTED | UNKNOWN | SA_RESTART)
        return sigaction(SIGUSR1).flags

    assert fork(life).result() == SA_RESTART
