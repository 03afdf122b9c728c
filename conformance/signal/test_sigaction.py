"""sigaction(2): installing and asking, the flags, and what is blocked while a handler runs."""

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
def test_the_action_before_is_told(fork):
    """Installing an action tells the one before, handler, flags and mask; without a new one the call only tells."""
    ignored = SigAction(IGNORE, SA_RESTART, frozenset({SIGUSR2, SIGTERM}))
    default = SigAction(DEFAULT, SA_NODEFER, frozenset())

    def life() -> list[SigAction]:
        sigaction(SIGUSR1, default)
        return [sigaction(SIGUSR1, new) for new in (ignored, None, None, default, None)]

    assert fork(life).result() == [default, ignored, ignored, ignored, default]


@clause("sigaction.einval-signum", "sigaction(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [0, -1, signal.NSIG], ids=["zero", "negative", "above-the-last"])
def test_no_signal_has_such_a_number(fork, signo):
    """A number that is no signal's is refused, to install an action and to ask for it."""

    def life() -> None:
        with fails_with(EINVAL):
            sigaction(signo)
        with fails_with(EINVAL):
            sigaction(signo, SigAction(IGNORE, 0, frozenset()))

    fork(life).result()


@clause("sigaction.kill-stop-refused", "sigaction(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [SIGKILL, SIGSTOP], ids=["SIGKILL", "SIGSTOP"])
def test_kill_and_stop_cannot_be_caught_or_ignored(fork, signals, signo):
    """SIGKILL and SIGSTOP can be neither caught nor ignored."""

    def life() -> None:
        signals.catch(SIGUSR1)
        for handler in (IGNORE, sigaction(SIGUSR1).handler):
            with fails_with(EINVAL):
                sigaction(signo, SigAction(handler, 0, frozenset()))
        assert sigaction(SIGUSR1).handler not in (DEFAULT, IGNORE)

    fork(life).result()


@clause("sigaction.own-signal-blocked-in-handler", "sigaction(2)", "DESCRIPTION")
def test_a_handler_is_not_entered_again_by_its_signal(held):
    """While a handler runs, the signal that it handles is blocked: what comes in the meantime is handled after it, once."""
    child = held(SIGUSR1)
    child.receive(SIGUSR1)
    child.receive(SIGUSR1)
    assert child.release() == [SIGUSR1, SIGUSR1]


@clause("sigaction.nodefer", "sigaction(2)", "SA_NODEFER")
def test_nodefer_lets_the_signal_in_again(held):
    """With SA_NODEFER the signal is not blocked while its handler runs: each that comes enters the handler again at once."""
    child = held(SIGUSR1, SA_NODEFER)
    child.receive(SIGUSR1)
    child.receive(SIGUSR1)
    assert child.release() == [SIGUSR1, SIGUSR1, SIGUSR1]


@clause("sigaction.nodefer-yields-to-sa_mask", "sigaction(2)", "SA_NODEFER")
def test_the_mask_counts_more_than_nodefer(held):
    """SA_NODEFER does not unblock a signal that the action's own mask names."""
    child = held(SIGUSR1, SA_NODEFER, mask={SIGUSR1})
    child.receive(SIGUSR1)
    child.receive(SIGUSR1)
    assert child.release() == [SIGUSR1, SIGUSR1]


@clause("sigaction.sa_mask-blocked-in-handler", "sigaction(2)", "DESCRIPTION")
def test_the_mask_is_blocked_while_the_handler_runs(held):
    """While a handler runs, the signals of its action's mask are blocked: they are handled after it."""
    child = held(SIGUSR1, mask={SIGUSR2}, also={SIGUSR2})
    child.receive(SIGUSR2)
    assert child.release() == [SIGUSR1, SIGUSR2]


@clause("sigaction.other-signals-interrupt-handler", "signal(7)", "Execution of signal handlers")
def test_other_signals_interrupt_a_handler(held):
    """While a handler runs, a signal that neither its action nor the process blocks is handled in the midst of it."""
    child = held(SIGUSR1, mask={SIGTERM}, also={SIGUSR2})
    child.receive(SIGUSR2)
    assert child.release() == [SIGUSR2, SIGUSR1]


@clause("sigaction.mask-restored-after-handler", "signal(7)", "Execution of signal handlers")
def test_the_mask_is_what_it_was_after_the_handler(held):
    """When a handler has returned, the mask is what it was before, without the action's mask and the signal."""
    child = held(SIGUSR1, mask={SIGUSR2, SIGTERM})
    child.release()
    assert child.actor.result() == set()


@clause("sigaction.resethand", "sigaction(2)", "SA_RESETHAND")
def test_resethand_handles_once(fork, signals):
    """With SA_RESETHAND the handler runs for the first signal; then the action is the default, which the second one meets."""

    def life() -> None:
        caught = signals.catch(SIGUSR1, flags=SA_RESETHAND)
        kill(os.getpid(), SIGUSR1)
        print(caught.count, sigaction(SIGUSR1).handler, flush=True)
        kill(os.getpid(), SIGUSR1)

    actor = fork(life)
    assert actor.wait() == -SIGUSR1
    assert actor.output.split() == ["1", str(DEFAULT)]


@clause("sigaction.resethand-on-entry", "sigaction(2)", "SA_RESETHAND")
def test_resethand_resets_when_the_handler_is_entered(held):
    """SA_RESETHAND resets the action when the handler is entered: with SA_NODEFER a second signal ends the process inside it."""
    child = held(SIGUSR1, SA_RESETHAND | SA_NODEFER)
    child.actor.signal(SIGUSR1)
    assert child.actor.wait() == -SIGUSR1
    assert child.release() == []


def code_of_the_first_sigchld() -> int:
    """Stop, continue and end a child; why the first SIGCHLD was sent, which those after it do not replace."""
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
def test_nocldstop_tells_only_of_ends(fork, signals):
    """With SA_NOCLDSTOP a parent gets no SIGCHLD when a child stops or continues, only when it ends."""

    def life(flags: int) -> int:
        signals.catch(SIGCHLD, flags=flags)
        return code_of_the_first_sigchld()

    assert fork(life, 0).result() == CLD_STOPPED
    assert fork(life, SA_NOCLDSTOP).result() == CLD_KILLED


def wait_for_a_child_that_vanishes(fork, pipe: Pipe, action: SigAction) -> None:
    """Under *action* for SIGCHLD, wait(2) waits for a child's end and then says that there is no child."""

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
    """With SA_NOCLDWAIT children that end become no zombies: wait(2) blocks until the last has gone, and fails with ECHILD."""
    wait_for_a_child_that_vanishes(fork, pipe(), SigAction(DEFAULT, SA_NOCLDWAIT, frozenset()))


@clause("sigaction.ign-chld-no-zombie", "wait(2)", "NOTES")
def test_ignoring_sigchld_leaves_no_zombies(fork, pipe):
    """With SIGCHLD ignored children that end become no zombies: wait(2) blocks until the last has gone, and fails with ECHILD."""
    wait_for_a_child_that_vanishes(fork, pipe(), SigAction(IGNORE, 0, frozenset()))


@clause("sigaction.nocldwait-linux-sigchld-sent", "sigaction(2)", "SA_NOCLDWAIT")
def test_nocldwait_still_sends_sigchld(fork, signals):
    """With SA_NOCLDWAIT and a handler a parent gets SIGCHLD when a child ends."""

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
def test_unknown_flags_do_not_come_back(fork, signals):
    """Flags that the kernel does not know, SA_UNSUPPORTED among them, are accepted, and are not there when the action is read."""

    def life() -> int:
        signals.catch(SIGUSR1, flags=SA_UNSUPPORTED | UNKNOWN | SA_RESTART)
        return sigaction(SIGUSR1).flags

    assert fork(life).result() == SA_RESTART
