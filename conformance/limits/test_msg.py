"""proc(5), msgget(2), msgop(2): the limits of message queues, enforced on both sides, in an IPC namespace of the test's own."""

from __future__ import annotations

import os
from errno import EINVAL, ENOSPC
from pathlib import Path

from pytest_ipc import clause, fails_with, untested
from pytest_ipc.kernel import (
    IPC_NOWAIT,
    IPC_PRIVATE,
    limit,
    msgctl_rmid,
    msgctl_stat,
    msgget,
    msgrcv,
    msgsnd,
    set_limit,
)

from ..credentials import change_limit


def make() -> int:
    return msgget(IPC_PRIVATE, 0o600)


@clause("msgget.msgmni-enospc", "msgget(2)", "ERRORS", errno=ENOSPC)
def test_there_are_at_most_msgmni_queues(in_ipc_namespace):
    """MSGMNI queues can exist and not one more; when one is removed there is room for another."""

    def both_sides() -> int:
        msqids = [make() for _ in range(3)]
        with fails_with(ENOSPC):
            make()
        msgctl_rmid(msqids[1])
        return make()

    assert in_ipc_namespace({"kernel/msgmni": 3}, both_sides) >= 0


@clause("msgget.init-qbytes-msgmnb", "msgget(2)", "DESCRIPTION")
def test_a_new_queue_has_room_for_msgmnb_bytes(in_ipc_namespace):
    """The room of a new queue is MSGMNB bytes, as it is when the queue is made."""

    def at_both() -> tuple[int, int]:
        first = msgctl_stat(make()).qbytes
        change_limit("kernel/msgmnb", 777)
        return first, msgctl_stat(make()).qbytes

    assert in_ipc_namespace({"kernel/msgmnb": 12345}, at_both) == (12345, 777)


@clause("msgget.msgmnb-changed-existing-kept", "proc_sys_kernel(5)", "/proc/sys/kernel/msgmnb")
def test_a_changed_msgmnb_leaves_what_exists(in_ipc_namespace):
    """When MSGMNB is changed, queues that exist keep the room that they have."""

    def change() -> int:
        msqid = make()
        change_limit("kernel/msgmnb", 10)
        msgsnd(msqid, 1, bytes(100), IPC_NOWAIT)
        return msgctl_stat(msqid).qbytes

    assert in_ipc_namespace({"kernel/msgmnb": 12345}, change) == 12345


@clause("msgsnd.msgmax-raised", "proc_sys_kernel(5)", "/proc/sys/kernel/msgmax")
def test_a_higher_msgmax_allows_longer_messages(in_ipc_namespace):
    """When MSGMAX is raised, messages may have so many bytes and not one more, and come out whole."""

    def both_sides() -> bool:
        msqid = make()
        with fails_with(EINVAL):
            msgsnd(msqid, 1, bytes(1001), IPC_NOWAIT)
        change_limit("kernel/msgmax", 100_000)
        with fails_with(EINVAL):
            msgsnd(msqid, 1, bytes(100_001), IPC_NOWAIT)
        text = os.urandom(100_000)
        msgsnd(msqid, 1, text, IPC_NOWAIT)
        return msgrcv(msqid, 100_000, 0, IPC_NOWAIT).text == text

    assert in_ipc_namespace({"kernel/msgmax": 1000, "kernel/msgmnb": 200_000}, both_sides)


@clause("msgget.next-id", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_the_next_id_can_be_chosen(in_ipc_namespace):
    """msg_next_id, where the kernel has it, is the identifier of the next queue, and is -1 again afterwards."""

    def choose() -> tuple[int, int | None]:
        _needs("kernel/msg_next_id")
        change_limit("kernel/msg_next_id", 5)
        return make(), limit("kernel/msg_next_id")

    assert in_ipc_namespace({}, choose) == (5, -1)


@clause("msgget.next-id-in-use", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_a_next_id_that_is_taken(in_ipc_namespace):
    """When the identifier in msg_next_id is taken, the new queue gets another one."""

    def choose() -> bool:
        _needs("kernel/msg_next_id")
        taken = make()
        change_limit("kernel/msg_next_id", taken)
        return make() != taken

    assert in_ipc_namespace({}, choose)


@clause("proc.msgmni-max-32768", "proc_sys_kernel(5)", "/proc/sys/kernel/msgmni", since="4.17")
def test_msgmni_has_a_ceiling(in_ipc_namespace):
    """MSGMNI can be set to 32768, the greatest number that identifiers have room for, and not above."""

    def both_sides() -> int | None:
        if "ipcmni_extend" in Path("/proc/cmdline").read_text():
            untested("this kernel was started with ipcmni_extend, which raises the ceiling")
        change_limit("kernel/msgmni", 32768)
        with fails_with(EINVAL):
            set_limit("kernel/msgmni", 32769)
        return limit("kernel/msgmni")

    assert in_ipc_namespace({}, both_sides) == 32768


@clause("proc.kernel-defaults-msg", "msgop(2)", "NOTES", since="3.19")
def test_the_default_limits(in_ipc_namespace):
    """By default MSGMAX is 8192, MSGMNB 16384 and MSGMNI 32000."""

    def tell() -> list[int | None]:
        return [limit(f"kernel/{name}") for name in ("msgmax", "msgmnb", "msgmni")]

    assert in_ipc_namespace({}, tell) == [8192, 16384, 32000]


def _needs(name: str) -> None:
    if not os.path.exists(f"/proc/sys/{name}"):
        untested(f"needs /proc/sys/{name}")
