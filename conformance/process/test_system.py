"""system(3): running a shell command, and the caller's signals during and after it."""

from __future__ import annotations

import os
from ctypes import c_char_p, c_int
from signal import SIG_BLOCK, SIGCHLD, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import Need, clause, untested
from pytest_ipc.kernel import pthread_sigmask, sigaction
from pytest_ipc.kernel.libc import function

system = function("system", c_int, c_char_p)
pytestmark = pytest.mark.usefixtures("nproc_limit")

CONCERNED = (SIGINT, SIGQUIT, SIGCHLD)
# Whether SIGCHLD is blocked in the shell's parent, from /proc: status 0 for yes, 1 for no, 2 if not shown.
LOOK = b"""m=$(sed -n 's/^SigBlk:[[:space:]]*//p' /proc/$PPID/status)
test -n "$m" || exit 2
exit $(( (0x$m >> %d & 1) == 0 ))""" % (SIGCHLD - 1)


@pytest.fixture(autouse=True)
def shell() -> None:
    """Report untested without a shell, which system(3) needs."""
    if not os.access("/bin/sh", os.X_OK):
        untested(Need.PROGRAMS, "needs the program /bin/sh")


@clause("system.status", "system(3)", "RETURN VALUE")
def test_system_returns_status_of_shell(fork):
    """system() returns the wait status of the shell, which is that of its last command, and a nonzero value for a
    NULL command if a shell exists.
    """

    def life() -> list[int]:
        statuses = [system(command) for command in (b"true", b"exit 7", b"kill -USR2 $$")]
        return [os.waitstatus_to_exitcode(status) for status in statuses]

    assert fork(life).result(timeout=30) == [0, 7, -SIGUSR2]
    assert system(None) != 0


@clause("system.restores-signals", "system(3)", "DESCRIPTION")
def test_mask_and_dispositions_are_restored(fork, signals):
    """After system() the signal mask and the dispositions of SIGINT, SIGQUIT and SIGCHLD are those from before the
    call.
    """

    def life() -> bool:
        signals.catch(SIGINT)
        signals.ignore(SIGQUIT)
        signals.default(SIGCHLD)
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        before = pthread_sigmask(SIG_BLOCK), [sigaction(signo) for signo in CONCERNED]
        system(b"exit 3")
        after = pthread_sigmask(SIG_BLOCK), [sigaction(signo) for signo in CONCERNED]
        return before == after

    assert fork(life).result(timeout=30) is True


@clause("system.ignores-interruption", "system(3)", "DESCRIPTION")
def test_sigint_and_sigquit_are_ignored_during_command(fork, signals):
    """The caller of system() ignores SIGINT and SIGQUIT while the command runs."""

    def life() -> int:
        for signo in (SIGINT, SIGQUIT):
            signals.default(signo)
            signals.unblock(signo)
        return os.waitstatus_to_exitcode(system(b"kill -INT $PPID; kill -QUIT $PPID; exit 5"))

    assert fork(life).result(timeout=30) == 5


@clause("system.blocks-sigchld", "system(3)", "DESCRIPTION")
def test_sigchld_is_blocked_during_command(fork, signals):
    """SIGCHLD is blocked in the caller of system() while the command runs."""

    def life() -> str:
        signals.default(SIGCHLD)
        signals.unblock(SIGCHLD)
        status = system(LOOK)
        return {0: "blocked", 1: "not blocked"}.get(os.waitstatus_to_exitcode(status), "not shown")

    answer = fork(life).result(timeout=30)
    if answer == "not shown":
        untested(Need.PROC_FILES, "needs /proc/PID/status, and the programs sed and test")
    assert answer == "blocked"


@clause("system.command-has-defaults", "system(3)", "DESCRIPTION")
def test_command_has_dispositions_of_caller(fork, signals):
    """In the command of system() SIGINT and SIGQUIT have the caller's dispositions and are not ignored."""

    def life() -> list[int]:
        ends = []
        for signo, name in ((SIGINT, b"INT"), (SIGQUIT, b"QUIT")):
            signals.default(signo)
            signals.unblock(signo)
            ends.append(os.waitstatus_to_exitcode(system(b"kill -" + name + b" $$; exit 6")))
        return ends

    assert fork(life).result(timeout=30) == [-SIGINT, -SIGQUIT]
