"""credentials(7), setpgid(2), tcsetpgrp(3): a session and its controlling terminal, a pty of the test."""

from __future__ import annotations

import os
import select
import signal
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import ENOTTY, ENXIO, EPERM
from fcntl import ioctl
from signal import SIGHUP, SIGINT, SIGTTIN, SIGTTOU, SIGUSR1
from typing import Any

import pytest

from pytest_ipc import Child, Need, clause, fails_with, untested
from pytest_ipc.kernel import pause, sigpending, sigtimedwait

from ..signal.plain_child import SOON, bare_child, leave_session


@dataclass(frozen=True)
class Terminal:
    """A pty: its master side, and the slave side that programs use."""

    master: int
    slave: int


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Return a new pty; report untested if none is available."""
    try:
        made = Terminal(*os.openpty())
    except OSError as error:
        untested(Need.TERMINALS, f"needs a pty: {error.strerror}")
    yield made
    os.close(made.master)
    os.close(made.slave)


@pytest.fixture
def in_session(fork, terminal) -> Callable[..., Child[Any]]:
    """Start the leader of a new session whose controlling terminal is the pty: in_session(function)."""
    member = fork(pause)
    member.wait_blocked("pause")

    def start(function: Callable[[], Any]) -> Child[Any]:
        def life() -> Any:
            leave_session(member)
            ioctl(terminal.slave, termios.TIOCSCTTY, 0)
            return function()

        leader: Child[Any] = fork.keeping(terminal.master, terminal.slave)(life)
        return leader

    return start


def idle() -> int:
    """Sleep until a signal terminates this child."""
    pause()
    return 0


def in_a_group(function: Callable[[], int]) -> int:
    """Start a child in its own group and return its pid. Parent and child both call setpgid(), as either may run
    first."""

    def life() -> int:
        os.setpgid(0, 0)
        return function()

    child = bare_child(life)
    os.setpgid(child, child)
    return child


@clause("setsid.no-terminal", "setsid(2)", "DESCRIPTION", errno=ENXIO)
def test_new_session_has_no_terminal(fork):
    """A new session has no controlling terminal: open() of /dev/tty fails with ENXIO."""
    member = fork(pause)
    member.wait_blocked("pause")

    def life() -> None:
        leave_session(member)
        try:
            os.stat("/dev/tty")
        except OSError as error:
            untested(Need.TERMINALS, f"needs /dev/tty: {error.strerror}")
        with fails_with(ENXIO):
            os.open("/dev/tty", os.O_RDWR)

    fork(life).result()


@clause("tty.leader-takes-a-terminal", "TIOCSCTTY(2const)", "DESCRIPTION")
def test_session_leader_acquires_terminal(in_session, terminal):
    """TIOCSCTTY by a session leader makes the terminal its controlling terminal, with its group in the foreground."""

    leader = in_session(lambda: os.tcgetpgrp(terminal.slave))
    assert leader.result() == leader.pid


@clause("tcsetpgrp.foreground-group", "tcsetpgrp(3)", "DESCRIPTION")
def test_tcsetpgrp_sets_foreground_group(in_session, terminal):
    """tcsetpgrp() sets the foreground process group of the session's terminal, which tcgetpgrp() returns."""

    def life() -> None:
        child = in_a_group(idle)
        os.tcsetpgrp(terminal.slave, child)
        assert os.tcgetpgrp(terminal.slave) == child
        os.kill(child, signal.SIGKILL)

    in_session(life).result()


@clause("tcsetpgrp.not-the-terminal-enotty", "tcsetpgrp(3)", "ERRORS", errno=ENOTTY)
def test_tcsetpgrp_of_other_descriptor_fails(in_session, pipe):
    """tcsetpgrp() fails with ENOTTY for a descriptor that does not refer to the controlling terminal."""
    channel = pipe()

    def life() -> None:
        other = os.openpty()
        for fd in (channel.read_fd, other[1]):
            with fails_with(ENOTTY):
                os.tcsetpgrp(fd, os.getpgrp())

    in_session(life).result()


@clause("tcsetpgrp.other-session-eperm", "tcsetpgrp(3)", "ERRORS", errno=EPERM)
def test_group_of_other_session_fails(in_session, terminal, fork):
    """tcsetpgrp() fails with EPERM for a process group of another session."""
    other = fork(pause)
    other.wait_blocked("pause")

    def life() -> bool:
        with fails_with(EPERM):
            os.tcsetpgrp(terminal.slave, other.pid)
        return os.tcgetpgrp(terminal.slave) == os.getpgrp()

    assert in_session(life).result()


@clause("tty.background-read-sigttin", "setpgid(2)", "NOTES")
def test_background_read_stops_process(in_session, terminal):
    """A process of a background group that reads from its controlling terminal is stopped by SIGTTIN."""

    def life() -> int:
        reader = in_a_group(lambda: len(os.read(terminal.slave, 1)))
        status = os.waitpid(reader, os.WUNTRACED)[1]
        assert os.WIFSTOPPED(status)
        os.kill(reader, signal.SIGKILL)
        return os.WSTOPSIG(status)

    assert in_session(life).result() == SIGTTIN


@clause("tty.background-tcsetpgrp-sigttou", "tcsetpgrp(3)", "DESCRIPTION")
def test_background_tcsetpgrp_stops_process(in_session, terminal):
    """tcsetpgrp() by a process of a background group stops it with SIGTTOU; if it blocks SIGTTOU the call succeeds."""

    def life() -> tuple[int, bool]:
        def come_forward() -> int:
            os.tcsetpgrp(terminal.slave, os.getpgrp())
            return 0

        def come_forward_unasked() -> int:
            signal.pthread_sigmask(signal.SIG_BLOCK, [SIGTTOU])
            return come_forward()

        background = in_a_group(come_forward)
        status = os.waitpid(background, os.WUNTRACED)[1]
        assert os.WIFSTOPPED(status)
        os.kill(background, signal.SIGKILL)
        os.waitpid(background, 0)
        other = in_a_group(come_forward_unasked)
        os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
        return os.WSTOPSIG(status), os.tcgetpgrp(terminal.slave) == other

    assert in_session(life).result() == (SIGTTOU, True)


@clause("tty.interrupt-to-the-foreground", "setpgid(2)", "NOTES")
def test_interrupt_character_signals_foreground_group(in_session, terminal, signals):
    """The interrupt character sends SIGINT to the foreground process group and to no other."""

    def life() -> tuple[int, int]:
        signals.block(SIGINT, SIGUSR1)

        def has_it() -> int:
            sigtimedwait({SIGUSR1}, SOON)
            return int(SIGINT in sigpending())

        background = in_a_group(has_it)
        os.write(terminal.master, b"\x03")
        signo = sigtimedwait({SIGINT}, SOON).signo
        os.kill(background, SIGUSR1)
        return signo, os.waitstatus_to_exitcode(os.waitpid(background, 0)[1])

    assert in_session(life).result() == (SIGINT, 0)


@clause("tty.leader-exit-sighup", "credentials(7)", "Process group ID and session ID")
def test_end_of_session_leader_hangs_up(in_session, terminal, signals, pipe):
    """When a session leader terminates, the foreground process group of its terminal gets SIGHUP."""
    received = pipe()

    def life() -> None:
        def wait() -> int:
            received.write(bytes([sigtimedwait({SIGHUP}, SOON).signo]))
            return 0

        signals.block(SIGHUP, SIGTTOU)
        os.tcsetpgrp(terminal.slave, in_a_group(wait))

    in_session(life).result()
    received.close_write()
    assert select.select([received.read_fd], [], [], SOON)[0], "the group must get SIGHUP"
    assert received.read(1) == bytes([SIGHUP])
