"""signal(7): what a signal does by default, ignored and caught, and what becomes of that over fork and exec."""

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
    """Send this process, a child, a signal; leave no core file if that is its end."""
    prctl(PR_SET_DUMPABLE, 0)
    kill(os.getpid(), signo)
    return "went on"


@clause("signal.default-action-table", "signal(7)", "Standard signals")
@pytest.mark.parametrize(("name", "action"), TABLE, ids=[name for name, _ in TABLE])
def test_every_signal_has_its_default_action(fork, name, action):
    """By default every standard signal does what the table says: it ends the process, stops it, or does nothing to one that runs."""
    signo = getattr(signal, f"SIG{name}")
    actor = fork(send_itself, signo)
    if action in ("Term", "Core"):
        assert actor.wait() == -signo
        return
    if action == "Stop":
        actor.wait_state("T")
        actor.signal(SIGCONT)
    assert actor.result() == "went on"


@clause("signal.rt-default-terminates", "signal(7)", "Real-time signals")
@pytest.mark.parametrize("signo", [SIGRTMIN, SIGRTMIN + 7, SIGRTMAX], ids=["first", "eighth", "last"])
def test_a_real_time_signal_ends_the_process(fork, signo):
    """By default every real-time signal ends the process."""
    assert fork(send_itself, signo).wait() == -signo


@clause("signal.ignored-has-no-effect", "signal(7)", "Signal dispositions")
def test_an_ignored_signal_does_nothing(fork, signals):
    """A signal whose disposition is to be ignored does nothing to the process, whatever its default."""

    def life() -> str:
        for signo in CATCHABLE:
            signals.ignore(signo)
            kill(os.getpid(), signo)
        return "went on"

    assert fork(life).result() == "went on"


@clause("signal.caught-runs-handler", "signal(7)", "Signal dispositions")
def test_a_caught_signal_runs_its_handler(fork, signals):
    """A signal that is caught runs its handler with its number instead of the default action, once for each that comes."""

    def life() -> None:
        first, second = signals.catch(SIGUSR1), signals.catch(SIGUSR2)
        for _ in range(2):
            kill(os.getpid(), SIGUSR1)
            assert first.received.pop() == SIGUSR1
        assert not first.received
        assert not second.received

    fork(life).result()


@clause("signal.dispositions-shared-by-threads", "signal(7)", "Signal dispositions")
def test_a_disposition_is_the_whole_process_s(fork):
    """What one thread sets a signal's disposition to is its disposition in all threads of the process."""

    def life() -> tuple[int, int]:
        in_thread(sigaction, SIGUSR1, SigAction(IGNORE, 0, frozenset()))
        return sigaction(SIGUSR1).handler, in_thread(sigaction, SIGUSR1).handler

    assert fork(life).result() == (IGNORE, IGNORE)


@clause("signal.ign-discards-pending", "POSIX.1-2024", "2.4.3 Signal Actions")
def test_ignoring_a_signal_discards_the_pending_one(fork, signals):
    """Setting a signal to be ignored discards the instance that is pending: a handler set later does not get it."""

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
def test_a_default_that_ignores_discards_the_pending_one(fork, signals, signo):
    """Setting a signal to a default that is to ignore it discards the instance that is pending."""

    def life() -> None:
        signals.catch(signo)
        signals.block(signo)
        kill(os.getpid(), signo)
        assert sigpending() == {signo}
        signals.default(signo)
        assert sigpending() == set()

    fork(life).result()


@clause("signal.fork-dispositions-copied", "signal(7)", "Signal dispositions")
def test_a_child_has_a_copy_of_the_dispositions(fork, signals):
    """A forked child starts with its parent's dispositions, flags and masks with them; what it changes then is its own."""

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
def test_ignored_signals_stay_ignored_over_exec(fork, signals):
    """A signal that is ignored is still ignored in a program that the process executes."""

    def life() -> None:
        signals.ignore(SIGUSR1)
        become_program("import signal; print(signal.getsignal(signal.SIGUSR1).name)")

    assert printed(fork(life)) == "SIG_IGN"


@clause("signal.exec-sigchld-ign-kept", "execve(2)", "NOTES")
def test_sigchld_stays_ignored_over_exec(fork, signals):
    """An ignored SIGCHLD is still ignored in a program that the process executes."""

    def life() -> None:
        signals.ignore(SIGCHLD)
        become_program("import signal; print(signal.getsignal(signal.SIGCHLD).name)")

    assert printed(fork(life)) == "SIG_IGN"


@clause("signal.exec-handled-reset", "signal(7)", "Signal dispositions")
def test_handlers_do_not_survive_exec(fork, signals):
    """A signal that is caught has its default disposition in a program that the process executes."""

    def life() -> None:
        signals.catch(SIGUSR1)
        become_program("import signal; print(signal.getsignal(signal.SIGUSR1).name)")

    assert printed(fork(life)) == "SIG_DFL"
