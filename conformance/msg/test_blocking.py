"""msgop(2), signal(7): who waits at a queue, and what ends the waiting: a message, room, a removal, a signal."""

from __future__ import annotations

from collections.abc import Callable
from errno import EIDRM, EINTR
from signal import SIGUSR1
from typing import Any

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import IPC_NOWAIT, SA_RESTART, msgctl_rmid, msgctl_set, msgrcv, msgsnd

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("room_for_messages")


HANDLERS = "Interruption of system calls and library functions by signal handlers"
CALLS: dict[str, Callable[..., object]] = {"msgrcv": msgrcv, "msgsnd": msgsnd}


@pytest.fixture
def blocked(fork):
    """A child that waits: blocked("msgrcv", *args), or blocked("msgsnd", *args); its result is the call's, or the errno's."""

    def start(call: str, *args: object, errno: int | None = None) -> Child[Any]:
        def life() -> object:
            if errno is None:
                return CALLS[call](*args)
            with fails_with(errno):
                CALLS[call](*args)
            return "as expected"

        child: Child[Any] = fork(life)
        child.wait_blocked(call)
        return child

    return start


@clause("msgsnd.blocks-until-space", "msgop(2)", "msgsnd()")
def test_a_sender_waits_for_room(full, blocked):
    """Without IPC_NOWAIT a sender waits while there is no room for its message, and sends it when a receiver has made some."""
    sender = blocked("msgsnd", full.id, 2, b"waited")
    assert full.stat().qnum == 1
    assert take(full).type == 1
    assert sender.result() is None
    assert contents(full) == [(2, b"waited")]


@clause("msgsnd.qbytes-raise-wakes", "msgctl(2)", "IPC_SET")
def test_a_sender_goes_on_when_the_queue_is_enlarged(full, blocked):
    """A sender that waits for room sends its message when IPC_SET has given the queue enough of it."""
    sender = blocked("msgsnd", full.id, 2, b"waited")
    msgctl_set(full.id, qbytes=106)
    assert sender.result() is None
    assert [type for type, _ in contents(full)] == [1, 2]


@clause("msgsnd.eidrm", "msgop(2)", "ERRORS", errno=EIDRM)
def test_a_sender_learns_of_the_removal(full, blocked):
    """A sender that waits for room fails when the queue is removed."""
    sender = blocked("msgsnd", full.id, 2, b"waited", errno=EIDRM)
    msgctl_rmid(full.id)
    assert sender.result() == "as expected"


@clause("msgrcv.blocks-until-message", "msgop(2)", "msgrcv()")
def test_a_receiver_waits_for_a_message(sysv_msg, blocked):
    """Without IPC_NOWAIT a receiver waits at an empty queue, and has the message when one is sent."""
    queue = sysv_msg()
    receiver = blocked("msgrcv", queue.id, 100)
    msgsnd(queue.id, 5, b"text")
    assert receiver.result() == (5, b"text")
    ds = queue.stat()
    assert (ds.qnum, ds.lrpid) == (0, receiver.pid)


@clause("msgrcv.blocks-selectively", "msgop(2)", "msgrcv()")
@pytest.mark.parametrize("asked", [2, -2], ids=["positive", "negative"])
def test_a_receiver_waits_for_what_it_asked_for(sysv_msg, blocked, asked):
    """A receiver that asks for a type sleeps on when others are sent, and takes the first that is of its type."""
    queue = sysv_msg()
    receiver = blocked("msgrcv", queue.id, 100, asked)
    for type in (3, 4):
        msgsnd(queue.id, type, b"for others", IPC_NOWAIT)
    receiver.wait_blocked("msgrcv")
    assert queue.stat().qnum == 2
    msgsnd(queue.id, 2, b"for it", IPC_NOWAIT)
    assert receiver.result() == (2, b"for it")
    assert [type for type, _ in contents(queue)] == [3, 4]


@clause("msgrcv.eidrm", "msgop(2)", "ERRORS", errno=EIDRM)
def test_a_receiver_learns_of_the_removal(sysv_msg, blocked):
    """A receiver that waits for a message fails when the queue is removed."""
    queue = sysv_msg()
    receiver = blocked("msgrcv", queue.id, 100, errno=EIDRM)
    msgctl_rmid(queue.id)
    assert receiver.result() == "as expected"


@clause("msgctl.rmid-wakes-both-sides", "msgctl(2)", "IPC_RMID", errno=EIDRM)
def test_a_removal_wakes_everybody(full, blocked):
    """A removal wakes all who wait at the queue, receivers and senders, with EIDRM."""
    waiting = [blocked("msgsnd", full.id, 1, b"x", errno=EIDRM) for _ in range(2)]
    waiting += [blocked("msgrcv", full.id, 100, 2, errno=EIDRM) for _ in range(2)]
    msgctl_rmid(full.id)
    assert [child.result() for child in waiting] == ["as expected"] * 4


@pytest.fixture
def interrupted(fork, signals):
    """Send SIGUSR1, which is caught with these flags, to a child that waits in a call: the call must fail with EINTR."""

    def run(flags: int, call: str, *args: object) -> None:
        def life() -> int:
            caught = signals.catch(SIGUSR1, flags=flags)
            with fails_with(EINTR):
                CALLS[call](*args)
            count: int = caught.count
            return count

        child = fork(life)
        child.wait_blocked(call)
        child.signal(SIGUSR1)
        assert child.result() == 1

    return run


@clause("msgsnd.eintr", "msgop(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_a_senders_waiting(full, interrupted):
    """A sender that waits for room fails when a handler has run, and its message is not sent."""
    interrupted(0, "msgsnd", full.id, 2, b"text")
    assert full.stat().qnum == 1


@clause("msgsnd.eintr-despite-sa_restart", "signal(7)", HANDLERS, errno=EINTR)
def test_a_sender_is_never_restarted(full, interrupted):
    """A sender that waits for room fails when a handler has run, even one that was installed with SA_RESTART."""
    interrupted(SA_RESTART, "msgsnd", full.id, 2, b"text")
    assert full.stat().qnum == 1


@clause("msgrcv.eintr", "msgop(2)", "ERRORS", errno=EINTR)
def test_a_handler_ends_a_receivers_waiting(sysv_msg, interrupted):
    """A receiver that waits for a message fails when a handler has run."""
    queue = sysv_msg()
    interrupted(0, "msgrcv", queue.id, 100)
    assert queue.stat().lrpid == 0


@clause("msgrcv.eintr-despite-sa_restart", "signal(7)", HANDLERS, errno=EINTR)
def test_a_receiver_is_never_restarted(sysv_msg, interrupted):
    """A receiver that waits for a message fails when a handler has run, even one that was installed with SA_RESTART."""
    queue = sysv_msg()
    interrupted(SA_RESTART, "msgrcv", queue.id, 100)
    assert queue.stat().lrpid == 0
