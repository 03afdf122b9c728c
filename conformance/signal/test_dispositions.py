"""signal(7): default actions, ignoring and catching, and dispositions across fork() and execve()."""

from __future__ import annotations

import os
import signal
from signal import SIGCHLD, SIGCONT, SIGRTMAX, SIGRTMIN, SIGUSR1, SIGUSR2, SIGWINCH

import pytest

from pytest_ipc import Child, clause
from pytest_ipc.kernel import PR_SET_DUMPABLE, SA_RESTART, SigAction, kill, prctl, sigaction, sigpending

from .plain_child import CATCHABLE, become_program, in_thread, printed

ACTIONS = {
    "Term": "HUP INT KILL PIPE ALRM TERM USR1 USR2 IO PROF PWR STKFLT VTALRM",
    "Core": "QUIT ILL TRAP ABRT BUS FPE SEGV SYS XCPU XFSZ",
    "Ign": "CHLD URG WINCH",
    "Stop": "STOP TSTP TTIN TTOU",
    "Cont": "CONT",
}
TABLE = [(name, action) for action, names in ACTIONS.items() for name in names.split()]
DEFAULT, IGNORE = 0, 1


def send_itself(signo: int) -> str:
    """Send a signal to this process, a child; leave no core file if it terminates."""
    prctl(PR_SET_DUMPABLE, 0)
    kill(os.getpid(), signo)
    return "went on"


@clause("signal.default-action-table", "signal(7)", "Standard signals")
@pytest.mark.parametrize(("name", "action"), TABLE, ids=[name for name, _ in TABLE])
def test_default_action_of_standard_signal(fork, name, action):
    """The default action of every standard signal is that of the table in signal(7): terminate, stop, or no effect
    on a running process.
    """
    signo = getattr(signal, f"SIG{name}")
    child = fork(send_itself, signo)
    if action in ("Term", "Core"):
        assert child.wait() == -signo
        return
    if action == "Stop":
        child.wait_state("T")
        child.signal(SIGCONT)
    assert child.result() == "went on"


@clause("signal.rt-default-terminates", "signal(7)", "Real-time signals")
@pytest.mark.parametrize("signo", [SIGRTMIN, SIGRTMIN + 7, SIGRTMAX], ids=["first", "eighth", "last"])
def test_real_time_signal_terminates_by_default(fork, signo):
    """The default action of every real-time signal is to terminate the process."""
    assert fork(send_itself, signo).wait() == -signo


@clause("signal.ignored-has-no-effect", "signal(7)", "Signal dispositions")
def test_ignored_signal_has_no_effect(fork, signals):
    """A signal whose disposition is SIG_IGN has no effect on the process, whatever its default action."""

    def life() -> str:
        for signo in CATCHABLE:
            signals.ignore(signo)
            kill(os.getpid(), signo)
        return "went on"

    assert fork(life).result() == "went on"


@clause("signal.caught-runs-handler", "signal(7)", "Signal dispositions")
def test_caught_signal_runs_handler(fork, signals):
    """A caught signal runs its handler with the signal number instead of the default action, once per delivery."""

    def life() -> None:
        first, second = signals.catch(SIGUSR1), signals.catch(SIGUSR2)
        for _ in range(2):
            kill(os.getpid(), SIGUSR1)
            assert first.received.pop() == SIGUSR1
        assert not first.received
        assert not second.received

    fork(life).result()


@clause("signal.dispositions-shared-by-threads", "signal(7)", "Signal dispositions")
def test_dispositions_are_shared_by_threads(fork):
    """A disposition that one thread sets applies to all threads of the process."""

    def life() -> tuple[int, int]:
        in_thread(sigaction, SIGUSR1, SigAction(IGNORE, 0, frozenset()))
        return sigaction(SIGUSR1).handler, in_thread(sigaction, SIGUSR1).handler

    assert fork(life).result() == (IGNORE, IGNORE)


@clause("signal.ign-discards-pending", "POSIX.1-2024", "2.4.3 Signal Actions")
def test_ignoring_discards_pending_signal(fork, signals):
    """Setting a disposition to SIG_IGN discards the pending instance of the signal: a handler installed later does
    not run for it.
    """

    def life():
        signals.block(SIGUSR1)
        kill(os.getpid(), SIGUSR1)
        assert sigpending() == {SIGUSR1}
        signals.ignore(SIGUSR1)
        assert sigpending() == set()
        caught = signals.catch(SIGUSR1)
        signals.unblock(SIGUSR1)
        return caught.count

    assert fork(life).result() == 0


@clause("signal.dfl-ignored-discards-pending", "POSIX.1-2024", "2.4.3 Signal Actions")
@pytest.mark.parametrize("signo", [SIGCHLD, SIGWINCH], ids=["SIGCHLD", "SIGWINCH"])
def test_default_that_ignores_discards_pending_signal(fork, signals, signo):
    """Setting a disposition to SIG_DFL discards the pending instance of a signal whose default action is to ignore
    it.
    """

    def life() -> None:
        signals.catch(signo)
        signals.block(signo)
        kill(os.getpid(), signo)
        assert sigpending() == {signo}
        signals.default(signo)
        assert sigpending() == set()

    fork(life).result()


@clause("signal.fork-dispositions-copied", "signal(7)", "Signal dispositions")
def test_fork_copies_dispositions(fork, signals):
    """After fork() the child has a copy of the parent's dispositions, with flags and masks; changes do not affect
    the parent.
    """

    def life() -> None:
        signals.catch(SIGUSR1, flags=SA_RESTART, mask={SIGUSR2})
        signals.ignore(SIGUSR2)
        before = [sigaction(signo) for signo in CATCHABLE]

        def look_and_change() -> list[SigAction]:
            return [sigaction(signo, SigAction(DEFAULT, 0, frozenset())) for signo in CATCHABLE]

        with Child.start(look_and_change) as child:
            assert child.result() == before
        assert [sigaction(signo) for signo in CATCHABLE] == before

    fork(life).result()


@clause("signal.exec-ignored-stay", "signal(7)", "Signal dispositions")
def test_ignored_signals_stay_ignored_across_execve(fork, signals):
    """An ignored signal stays ignored across execve()."""

    def life() -> None:
        signals.ignore(SIGUSR1)
        become_program("import signal; print(signal.getsignal(signal.SIGUSR1).name)")

    assert printed(fork(life)) == "SIG_IGN"


@clause("signal.exec-sigchld-ign-kept", "execve(2)", "NOTES")
def test_ignored_sigchld_stays_ignored_across_execve(fork, signals):
    """An ignored SIGCHLD stays ignored across execve()."""

    def life() -> None:
        signals.ignore(SIGCHLD)
        become_program("import signal; print(signal.getsignal(signal.SIGCHLD).name)")

    assert printed(fork(life)) == "SIG_IGN"


@clause("signal.exec-handled-reset", "signal(7)", "Signal dispositions")
def test_handlers_are_reset_by_execve(fork, signals):
    """execve() resets a caught signal to its default disposition."""

    def life() -> None:
        signals.catch(SIGUSR1)
        become_program("import signal; print(signal.getsignal(signal.SIGUSR1).name)")

    assert printed(fork(life)) == "SIG_DFL"
