"""system(3): a shell command, and what becomes of the caller's signals meanwhile and afterwards."""

from __future__ import annotations

import os
from ctypes import c_char_p, c_int
from signal import SIG_BLOCK, SIGCHLD, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2

import pytest

from pytest_ipc import clause, untested
from pytest_ipc.kernel import pthread_sigmask, sigaction
from pytest_ipc.kernel.libc import function

system = function("system", c_int, c_char_p)
pytestmark = pytest.mark.usefixtures("room_for_processes")

CONCERNED = (SIGINT, SIGQUIT, SIGCHLD)
# Whether SIGCHLD is in the mask of the shell's parent, as /proc shows it: 0 for yes, 1 for no, 2 where it is not shown.
LOOK = b"""m=$(sed -n 's/^SigBlk:[[:space:]]*//p' /proc/$PPID/status)
test -n "$m" || exit 2
exit $(( (0x$m >> %d & 1) == 0 ))""" % (SIGCHLD - 1)


@pytest.fixture(autouse=True)
def shell() -> None:
    """A shell, without which system(3) runs nothing."""
    if not os.access("/bin/sh", os.X_OK):
        untested("needs the program /bin/sh")


@clause("system.status", "system(3)", "RETURN VALUE")
def test_the_result_is_the_shells_status(fork):
    """The wait status of the shell is returned, which is that of its last command; 0 for a NULL command means that there is no shell."""

    def life() -> list[int]:
        statuses = [system(command) for command in (b"true", b"exit 7", b"kill -USR2 $$")]
        return [os.waitstatus_to_exitcode(status) for status in statuses]

    assert fork(life).result(30) == [0, 7, -SIGUSR2]
    assert system(None) != 0


@clause("system.restores-signals", "system(3)", "DESCRIPTION")
def test_mask_and_dispositions_are_as_before(fork, signals):
    """When system returns the mask and the dispositions of SIGINT, SIGQUIT and SIGCHLD are what they were before the call."""

    def life() -> bool:
        signals.catch(SIGINT)
        signals.ignore(SIGQUIT)
        signals.default(SIGCHLD)
        pthread_sigmask(SIG_BLOCK, {SIGUSR1})
        before = pthread_sigmask(SIG_BLOCK), [sigaction(signo) for signo in CONCERNED]
        system(b"exit 3")
        after = pthread_sigmask(SIG_BLOCK), [sigaction(signo) for signo in CONCERNED]
        return before == after

    assert fork(life).result(30) is True


@clause("system.ignores-interruption", "system(3)", "DESCRIPTION")
def test_sigint_and_sigquit_are_ignored_meanwhile(fork, signals):
    """While the command runs the caller ignores SIGINT and SIGQUIT: it outlives both, and returns the command's status."""

    def life() -> int:
        for signo in (SIGINT, SIGQUIT):
            signals.default(signo)
            signals.unblock(signo)
        return os.waitstatus_to_exitcode(system(b"kill -INT $PPID; kill -QUIT $PPID; exit 5"))

    assert fork(life).result(30) == 5


@clause("system.blocks-sigchld", "system(3)", "DESCRIPTION")
def test_sigchld_is_blocked_meanwhile(fork, signals):
    """While the command runs SIGCHLD is blocked in the caller: its handler has not run when the command looks."""

    def life() -> str:
        signals.default(SIGCHLD)
        signals.unblock(SIGCHLD)
        status = system(LOOK)
        return {0: "blocked", 1: "not blocked"}.get(os.waitstatus_to_exitcode(status), "not told")

    answer = fork(life).result(30)
    if answer == "not told":
        untested("needs /proc/PID/status, and the programs sed and test")
    assert answer == "blocked"


@clause("system.command-has-defaults", "system(3)", "DESCRIPTION")
def test_the_command_has_the_default_actions(fork, signals):
    """In the command itself SIGINT and SIGQUIT have the action that they had in the caller, not that of being ignored."""

    def life() -> list[int]:
        ends = []
        for signo, name in ((SIGINT, b"INT"), (SIGQUIT, b"QUIT")):
            signals.default(signo)
            signals.unblock(signo)
            ends.append(os.waitstatus_to_exitcode(system(b"kill -" + name + b" $$; exit 6")))
        return ends

    assert fork(life).result(30) == [-SIGINT, -SIGQUIT]
