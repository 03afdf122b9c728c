"""msgop(2), signal(7): calls blocked on a queue, and their end by a message, by space, by removal, by a signal."""

from __future__ import annotations

from collections.abc import Callable
from errno import EIDRM, EINTR
from signal import SIGUSR1
from typing import Any

import pytest

from pytest_ipc import Child, clause, fails_with
from pytest_ipc.kernel import IPC_NOWAIT, SA_RESTART, msgctl_rmid, msgctl_set, msgrcv, msgsnd

from .conftest import contents, take

pytestmark = pytest.mark.usefixtures("message_limits")


HANDLERS = "Interruption of system calls and library functions by signal handlers"
CALLS: dict[str, Callable[..., object]] = {"msgrcv": msgrcv, "msgsnd": msgsnd}


@pytest.fixture
def blocked(fork):
    """Start a child blocked in a call: blocked("msgrcv", *args,
    errno=None). Its result is the call's, or the call must fail.
    """

    def start(call: str, *args: object, errno: int | None = None) -> Child[Any]:
        def in_child() -> object:
            if errno is None:
                return CALLS[call](*args)
            with fails_with(errno):
                CALLS[call](*args)
            return "as expected"

        child: Child[Any] = fork(in_child)
        child.wait_blocked(call)
        return child

    return start


@clause("msgsnd.blocks-until-space", "msgop(2)", "msgsnd()")
def test_msgsnd_blocks_until_space(full, blocked):
    """msgsnd() without IPC_NOWAIT to a full queue blocks until a receiver makes space, and then sends the message."""
    sender = blocked("msgsnd", full.id, 2, b"waited")
    assert full.stat().qnum == 1
    assert take(full).type == 1
    assert sender.result() is None
    assert contents(full) == [(2, b"waited")]


@clause("msgsnd.qbytes-raise-wakes", "msgctl(2)", "IPC_SET")
def test_larger_qbytes_unblocks_a_sender(full, blocked):
    """A blocked msgsnd() returns when IPC_SET raises msg_qbytes enough for its message."""
    sender = blocked("msgsnd", full.id, 2, b"waited")
    msgctl_set(full.id, qbytes=106)
    assert sender.result() is None
    assert [type for type, _ in contents(full)] == [1, 2]


@clause("msgsnd.eidrm", "msgop(2)", "ERRORS", errno=EIDRM)
def test_removal_fails_a_blocked_sender(full, blocked):
    """A blocked msgsnd() fails with EIDRM when the queue is removed."""
    sender = blocked("msgsnd", full.id, 2, b"waited", errno=EIDRM)
    msgctl_rmid(full.id)
    assert sender.result() == "as expected"


@clause("msgrcv.blocks-until-message", "msgop(2)", "msgrcv()")
def test_msgrcv_blocks_until_a_message(sysv_msg, blocked):
    """msgrcv() without IPC_NOWAIT from an empty queue blocks until a message is sent, and returns it."""
    queue = sysv_msg()
    receiver = blocked("msgrcv", queue.id, 100)
    msgsnd(queue.id, 5, b"text")
    assert receiver.result() == (5, b"text")
    ds = queue.stat()
    assert (ds.qnum, ds.lrpid) == (0, receiver.pid)


@clause("msgrcv.blocks-selectively", "msgop(2)", "msgrcv()")
@pytest.mark.parametrize("selector", [2, -2], ids=["positive", "negative"])
def test_msgrcv_blocks_until_a_message_of_its_type(sysv_msg, blocked, selector):
    """msgrcv() for a type stays blocked when other types are sent, and returns the first message of its type."""
    queue = sysv_msg()
    receiver = blocked("msgrcv", queue.id, 100, selector)
    for type in (3, 4):
        msgsnd(queue.id, type, b"for others", IPC_NOWAIT)
    receiver.wait_blocked("msgrcv")
    assert queue.stat().qnum == 2
    msgsnd(queue.id, 2, b"for it", IPC_NOWAIT)
    assert receiver.result() == (2, b"for it")
    assert [type for type, _ in contents(queue)] == [3, 4]


@clause("msgrcv.eidrm", "msgop(2)", "ERRORS", errno=EIDRM)
def test_removal_fails_a_blocked_receiver(sysv_msg, blocked):
    """A blocked msgrcv() fails with EIDRM when the queue is removed."""
    queue = sysv_msg()
    receiver = blocked("msgrcv", queue.id, 100, errno=EIDRM)
    msgctl_rmid(queue.id)
    assert receiver.result() == "as expected"


@clause("msgctl.rmid-wakes-both-sides", "msgctl(2)", "IPC_RMID", errno=EIDRM)
def test_removal_fails_every_blocked_call(full, blocked):
    """IPC_RMID wakes all processes blocked in msgrcv() or msgsnd(), which fail with EIDRM."""
    children = [blocked("msgsnd", full.id, 1, b"x", errno=EIDRM) for _ in range(2)]
    children += [blocked("msgrcv", full.id, 100, 2, errno=EIDRM) for _ in range(2)]
    msgctl_rmid(full.id)
    assert [child.result() for child in children] == ["as expected"] * 4


@pytest.fixture
def interrupted(fork, signals):
    """Send SIGUSR1, caught with the given sigaction flags, to a child blocked in a call, which must fail with EINTR."""

    def run(flags: int, call: str, *args: object) -> None:
        def in_child() -> int:
            caught = signals.catch(SIGUSR1, flags=flags)
            with fails_with(EINTR):
                CALLS[call](*args)
            count: int = caught.count
            return count

        child = fork(in_child)
        child.wait_blocked(call)
        child.signal(SIGUSR1)
        assert child.result() == 1

    return run


@clause("msgsnd.eintr", "msgop(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_a_blocked_sender(full, interrupted):
    """A blocked msgsnd() fails with EINTR when a signal handler runs, and sends no message."""
    interrupted(0, "msgsnd", full.id, 2, b"text")
    assert full.stat().qnum == 1


@clause("msgsnd.eintr-despite-sa_restart", "signal(7)", HANDLERS, errno=EINTR)
def test_sender_is_not_restarted(full, interrupted):
    """A blocked msgsnd() fails with EINTR when a signal handler runs, even with SA_RESTART."""
    interrupted(SA_RESTART, "msgsnd", full.id, 2, b"text")
    assert full.stat().qnum == 1


@clause("msgrcv.eintr", "msgop(2)", "ERRORS", errno=EINTR)
def test_handler_interrupts_a_blocked_receiver(sysv_msg, interrupted):
    """A blocked msgrcv() fails with EINTR when a signal handler runs, and receives no message."""
    queue = sysv_msg()
    interrupted(0, "msgrcv", queue.id, 100)
    assert queue.stat().lrpid == 0


@clause("msgrcv.eintr-despite-sa_restart", "signal(7)", HANDLERS, errno=EINTR)
def test_receiver_is_not_restarted(sysv_msg, interrupted):
    """A blocked msgrcv() fails with EINTR when a signal handler runs, even with SA_RESTART."""
    queue = sysv_msg()
    interrupted(SA_RESTART, "msgrcv", queue.id, 100)
    assert queue.stat().lrpid == 0
