"""signal(7), wait(2): stopping and continuing processes, and how a parent observes it."""

from __future__ import annotations

import os
import select
from errno import ECHILD
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import kill, pause, sigpending

from .plain_child import leave_session

STOPS = pytest.mark.parametrize(
    "signo", [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU], ids=["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"]
)
KEYBOARD_STOPS = pytest.mark.parametrize("signo", [SIGTSTP, SIGTTIN, SIGTTOU], ids=["SIGTSTP", "SIGTTIN", "SIGTTOU"])


@clause("signal.stop-state", "proc_pid_stat(5)", "(3) state %c")
@STOPS
def test_stopped_process_is_in_state_t(fork, signo):
    """/proc/PID/stat shows state T for a process that a signal has stopped, and another state after SIGCONT."""
    child = fork(pause)
    child.wait_blocked("pause")
    child.signal(signo)
    assert child.wait_state("T") == "T"
    child.signal(SIGCONT)
    child.wait_blocked("pause")
    child.signal(SIGTERM)
    assert child.wait() == -SIGTERM


@clause("wait.untraced-tells-of-stops", "wait(2)", "DESCRIPTION")
@STOPS
def test_wuntraced_reports_stop(fork, signo):
    """waitpid() with WUNTRACED reports once that a child has stopped, and the signal that stopped it."""

    def life() -> None:
        with Child.start(pause) as child:
            child.signal(signo)
            pid, status = os.waitpid(child.pid, os.WUNTRACED)
            assert pid == child.pid
            assert os.WIFSTOPPED(status)
            assert os.WSTOPSIG(status) == signo
            assert os.waitpid(child.pid, os.WUNTRACED | os.WNOHANG) == (0, 0)

    fork(life).result()


@clause("wait.stop-untold-without-wuntraced", "wait(2)", "DESCRIPTION")
def test_stop_is_not_reported_without_wuntraced(fork):
    """waitpid() without WUNTRACED does not report a stopped child."""

    def life() -> None:
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            child.wait_state("T")
            assert os.waitpid(child.pid, os.WNOHANG) == (0, 0)
            assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])

    fork(life).result()


@clause("wait.continued-tells-of-sigcont", "wait(2)", "DESCRIPTION")
def test_wcontinued_reports_continue(fork):
    """waitpid() with WCONTINUED reports once that a stopped child has been continued; without it it does not."""

    def life() -> None:
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            os.waitpid(child.pid, os.WUNTRACED)
            child.signal(SIGCONT)
            assert os.waitpid(child.pid, os.WNOHANG) == (0, 0)
            pid, status = os.waitpid(child.pid, os.WCONTINUED)
            assert (pid, os.WIFCONTINUED(status), os.WIFSTOPPED(status)) == (child.pid, True, False)
            assert os.waitpid(child.pid, os.WCONTINUED | os.WNOHANG) == (0, 0)

    fork(life).result()


@clause("waitid.stop-and-continue", "wait(2)", "waitid()")
def test_waitid_reports_stop_and_continue(fork):
    """waitid() reports a stop with WSTOPPED and a continue with WCONTINUED; after WNOWAIT it reports the same again."""

    def life() -> None:
        with Child.start(pause) as child:
            for signo, options, code in (
                (SIGSTOP, os.WSTOPPED, os.CLD_STOPPED),
                (SIGCONT, os.WCONTINUED, os.CLD_CONTINUED),
            ):
                child.signal(signo)
                for keep in (os.WNOWAIT, 0):
                    found = os.waitid(os.P_PID, child.pid, options | keep)
                    assert found is not None
                    assert (found.si_pid, found.si_code, found.si_status) == (child.pid, code, signo)
                assert os.waitid(os.P_PID, child.pid, options | os.WNOHANG) is None

    fork(life).result()


@clause("signal.stopped-does-nothing", "signal(7)", "Signal dispositions")
def test_stopped_process_does_not_run(fork, pipe):
    """A stopped process does not run, even if the event it waits for has occurred, and proceeds when it is
    continued.
    """
    mine, others = pipe(), pipe()
    stopped, running = (fork(pipe.read, 1, timeout=None) for pipe in (mine, others))
    stopped.wait_blocked("read")
    running.wait_blocked("read")
    stopped.signal(SIGSTOP)
    stopped.wait_state("T")
    mine.write(b"x")
    others.write(b"y")
    assert running.result() == b"y"
    assert select.select([mine.read_fd], [], [], 0)[0], "the stopped process must not read"
    assert stopped.wait_state("TZ") == "T"
    stopped.signal(SIGCONT)
    assert stopped.result() == b"x"


@clause("signal.stopped-keeps-signals-waiting", "signal(7)", "Signal dispositions")
def test_signals_wait_for_stopped_process(fork, signals):
    """Signals other than SIGKILL have no effect on a stopped process until it is continued."""

    def life() -> None:
        signals.catch(SIGUSR1, lambda *_: print("handled", flush=True))
        kill(os.getpid(), SIGSTOP)
        pause()

    child = fork(life)
    child.wait_state("T")
    child.signal(SIGUSR1)
    child.signal(SIGTERM)
    assert fork(str).result() == ""  # another process runs and exits in the meantime
    assert child.alive
    assert child.wait_state("TZ") == "T"
    child.signal(SIGCONT)
    assert child.wait() == -SIGTERM


@clause("signal.kill-ends-stopped", "signal(7)", "Standard signals")
def test_sigkill_terminates_stopped_process(fork):
    """SIGKILL terminates a stopped process without continuing it."""
    child = fork(pause)
    child.signal(SIGSTOP)
    child.wait_state("T")
    child.signal(SIGKILL)
    assert child.wait() == -SIGKILL


@clause("signal.cont-resumes-though-ignored", "signal(7)", "Signal dispositions")
@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_sigcont_continues_even_if_ignored_or_blocked(fork, signals, how):
    """SIGCONT continues a stopped process even if the process ignores or blocks it."""

    def life() -> str:
        if how == "ignored":
            signals.ignore(SIGCONT)
        else:
            signals.block(SIGCONT)
        kill(os.getpid(), SIGSTOP)
        return "went on"

    child = fork(life)
    child.wait_state("T")
    child.signal(SIGCONT)
    assert child.result() == "went on"


@clause("signal.cont-runs-handler", "signal(7)", "Signal dispositions")
def test_sigcont_runs_its_handler(fork, signals):
    """A caught SIGCONT continues a stopped process and runs the handler."""

    def life():
        caught = signals.catch(SIGCONT)
        kill(os.getpid(), SIGSTOP)
        return caught.count

    child = fork(life)
    child.wait_state("T")
    child.signal(SIGCONT)
    assert child.result() == 1


@clause("signal.stop-can-be-caught", "signal(7)", "Signal dispositions")
@KEYBOARD_STOPS
def test_caught_stop_signal_does_not_stop(fork, signals, signo):
    """SIGTSTP, SIGTTIN and SIGTTOU do not stop a process that catches or ignores them."""

    def life():
        caught = signals.catch(signo)
        kill(os.getpid(), signo)
        signals.ignore(signo)
        kill(os.getpid(), signo)
        return caught.count

    assert fork(life).result() == 1


@clause("signal.cont-drops-pending-stops", "POSIX.1-2024", "2.4.1 Signal Generation and Delivery")
def test_sigcont_discards_pending_stop_signals(fork, signals):
    """SIGCONT discards pending stop signals: they do not stop the process when they are unblocked."""

    def life() -> str:
        stops = {SIGTSTP, SIGTTIN, SIGTTOU}
        signals.block(*stops)
        for signo in stops:
            kill(os.getpid(), signo)
        assert sigpending() == stops
        kill(os.getpid(), SIGCONT)
        assert sigpending() == set()
        signals.unblock(*stops)
        return "went on"

    assert fork(life).result() == "went on"


@clause("signal.stop-drops-pending-cont", "POSIX.1-2024", "2.4.1 Signal Generation and Delivery")
@KEYBOARD_STOPS
def test_stop_signal_discards_pending_sigcont(fork, signals, signo):
    """A stop signal, even a blocked one, discards a pending SIGCONT: its handler does not run."""

    def life():
        caught = signals.catch(SIGCONT)
        signals.block(SIGCONT, signo)
        kill(os.getpid(), SIGCONT)
        assert sigpending() == {SIGCONT}
        kill(os.getpid(), signo)
        assert sigpending() == {signo}
        signals.unblock(SIGCONT)
        return caught.count

    assert fork(life).result() == 0


@clause("signal.orphaned-pgrp-tstp-discarded", "POSIX.1-2024", "2.4.3 Signal Actions")
@KEYBOARD_STOPS
def test_orphaned_group_is_not_stopped_by_default(fork, signo):
    """The default action of SIGTSTP, SIGTTIN and SIGTTOU has no effect on a process of an orphaned process group."""

    other = fork(pause)
    other.wait_blocked("pause")

    def life() -> str:
        leave_session(other)
        kill(os.getpid(), signo)
        return "went on"

    assert fork(life).result() == "went on"


@clause("signal.orphaned-pgrp-sigstop-stops", "signal(7)", "Standard signals")
def test_orphaned_group_is_stopped_by_sigstop(fork):
    """SIGSTOP stops a process also in an orphaned process group."""

    other = fork(pause)
    other.wait_blocked("pause")

    def life() -> str:
        leave_session(other)
        kill(os.getpid(), SIGSTOP)
        return "went on"

    child = fork(life)
    child.wait_state("T")
    child.signal(SIGCONT)
    assert child.result() == "went on"


@clause("signal.stopped-group", "kill(2)", "DESCRIPTION")
def test_group_is_stopped_and_continued(fork):
    """SIGSTOP and SIGCONT sent to a process group stop and continue every process of it."""
    leader, member = fork(pause), fork(pause)
    leader.wait_blocked("pause")
    member.wait_blocked("pause")
    os.setpgid(member.pid, leader.pid)
    kill(-leader.pid, SIGSTOP)
    leader.wait_state("T")
    member.wait_state("T")
    kill(-leader.pid, SIGCONT)
    leader.wait_blocked("pause")
    member.wait_blocked("pause")


@clause("wait.stopped-is-no-end", "wait(2)", "ERRORS", errno=ECHILD)
def test_stopped_child_is_still_a_child(fork):
    """A stopped child must still be waited for; waitpid() fails with ECHILD only after its termination has been
    reported.
    """

    def life() -> None:
        with Child.start(pause) as child:
            child.signal(SIGSTOP)
            os.waitpid(child.pid, os.WUNTRACED)
            child.signal(SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == -SIGKILL
            with fails_with(ECHILD):
                os.waitpid(child.pid, os.WNOHANG)

    fork(life).result()
