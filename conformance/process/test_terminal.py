"""credentials(7), setpgid(2), tcsetpgrp(3): a session and its terminal, which is a pty of the test's own."""

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

from pytest_ipc import Child, clause, fails_with, untested
from pytest_ipc.kernel import pause, sigpending, sigtimedwait

from ..signal.plain_child import SOON, bare_child, leave_session


@dataclass(frozen=True)
class Terminal:
    """A pty: what a person would hold, and what programs have."""

    master: int
    slave: int


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A new pty. Untested where there are none."""
    try:
        made = Terminal(*os.openpty())
    except OSError as error:
        untested(f"needs a pty: {error.strerror}")
    yield made
    os.close(made.master)
    os.close(made.slave)


@pytest.fixture
def in_session(fork, terminal) -> Callable[..., Child[Any]]:
    """Start the leader of a new session whose terminal is the pty: in_session(function)."""
    member = fork(pause)
    member.wait_blocked("pause")

    def start(function: Callable[[], Any]) -> Child[Any]:
        def life() -> Any:
            leave_session(member)
            ioctl(terminal.slave, termios.TIOCSCTTY, 0)
            return function()

        actor: Child[Any] = fork.keeping(terminal.master, terminal.slave)(life)
        return actor

    return start


def idle() -> int:
    """The life of a child that does nothing."""
    pause()
    return 0


def in_a_group(function: Callable[[], int]) -> int:
    """A child that leads a group of its own: its pid. Both see to that, for whichever of them comes first needs it."""

    def life() -> int:
        os.setpgid(0, 0)
        return function()

    child = bare_child(life)
    os.setpgid(child, child)
    return child


@clause("setsid.no-terminal", "setsid(2)", "DESCRIPTION", errno=ENXIO)
def test_a_new_session_has_no_terminal(fork):
    """A new session has no controlling terminal: /dev/tty cannot be opened in it."""
    member = fork(pause)
    member.wait_blocked("pause")

    def life() -> None:
        leave_session(member)
        try:
            os.stat("/dev/tty")
        except OSError as error:
            untested(f"needs /dev/tty: {error.strerror}")
        with fails_with(ENXIO):
            os.open("/dev/tty", os.O_RDWR)

    fork(life).result()


@clause("tty.leader-takes-a-terminal", "TIOCSCTTY(2const)", "DESCRIPTION")
def test_the_leader_of_a_session_takes_a_terminal(in_session, terminal):
    """A session's leader can make a terminal the session's own: its group is in the foreground there."""

    leader = in_session(lambda: os.tcgetpgrp(terminal.slave))
    assert leader.result() == leader.pid


@clause("tcsetpgrp.foreground-group", "tcsetpgrp(3)", "DESCRIPTION")
def test_another_group_is_put_in_the_foreground(in_session, terminal):
    """The foreground process group of a session's terminal is the one that was set last."""

    def life() -> None:
        child = in_a_group(idle)
        os.tcsetpgrp(terminal.slave, child)
        assert os.tcgetpgrp(terminal.slave) == child
        os.kill(child, signal.SIGKILL)

    in_session(life).result()


@clause("tcsetpgrp.not-the-terminal-enotty", "tcsetpgrp(3)", "ERRORS", errno=ENOTTY)
def test_a_terminal_of_nobody_has_no_foreground(in_session, pipe):
    """A descriptor of something else, or of a terminal that is not the session's, has no foreground process group."""
    channel = pipe()

    def life() -> None:
        other = os.openpty()
        for fd in (channel.read_fd, other[1]):
            with fails_with(ENOTTY):
                os.tcsetpgrp(fd, os.getpgrp())

    in_session(life).result()


@clause("tcsetpgrp.other-session-eperm", "tcsetpgrp(3)", "ERRORS", errno=EPERM)
def test_a_group_of_another_session_is_not_put_in_the_foreground(in_session, terminal, fork):
    """A group of another session cannot be put in the foreground of a session's terminal."""
    other = fork(pause)
    other.wait_blocked("pause")

    def life() -> bool:
        with fails_with(EPERM):
            os.tcsetpgrp(terminal.slave, other.pid)
        return os.tcgetpgrp(terminal.slave) == os.getpgrp()

    assert in_session(life).result()


@clause("tty.background-read-sigttin", "setpgid(2)", "NOTES")
def test_the_background_does_not_read(in_session, terminal):
    """A process of a background group that reads from its terminal is stopped by SIGTTIN."""

    def life() -> int:
        reader = in_a_group(lambda: len(os.read(terminal.slave, 1)))
        status = os.waitpid(reader, os.WUNTRACED)[1]
        assert os.WIFSTOPPED(status)
        os.kill(reader, signal.SIGKILL)
        return os.WSTOPSIG(status)

    assert in_session(life).result() == SIGTTIN


@clause("tty.background-tcsetpgrp-sigttou", "tcsetpgrp(3)", "DESCRIPTION")
def test_the_background_does_not_come_forward_by_itself(in_session, terminal):
    """A process of a background group that wants a group in the foreground is stopped by SIGTTOU, unless it blocks that."""

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
def test_the_interrupt_key_signals_the_foreground(in_session, terminal, signals):
    """The interrupt character sends SIGINT to the foreground group and to no other."""

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
def test_the_end_of_the_leader_hangs_up(in_session, terminal, signals, pipe):
    """When a session's leader ends, the foreground group of its terminal gets SIGHUP."""
    told = pipe()

    def life() -> None:
        def wait() -> int:
            told.write(bytes([sigtimedwait({SIGHUP}, SOON).signo]))
            return 0

        signals.block(SIGHUP, SIGTTOU)
        os.tcsetpgrp(terminal.slave, in_a_group(wait))

    in_session(life).result()
    told.close_write()
    assert select.select([told.read_fd], [], [], SOON)[0], "nobody was told"
    assert told.read(1) == bytes([SIGHUP])
