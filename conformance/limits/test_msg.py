"""proc(5), msgget(2), msgop(2): the limits of System V message queues, tested at and above the limit in a new IPC
namespace.
"""

from __future__ import annotations

import os
from errno import EINVAL, ENOSPC
from pathlib import Path

from pytest_ipc import Need, clause, fails_with, untested
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
def test_msgmni_limits_the_queues(in_ipc_namespace):
    """msgget() fails with ENOSPC if MSGMNI queues exist, and succeeds after one is removed."""

    def both_sides() -> int:
        msqids = [make() for _ in range(3)]
        with fails_with(ENOSPC):
            make()
        msgctl_rmid(msqids[1])
        return make()

    assert in_ipc_namespace({"kernel/msgmni": 3}, both_sides) >= 0


@clause("msgget.init-qbytes-msgmnb", "msgget(2)", "DESCRIPTION")
def test_new_queue_has_qbytes_msgmnb(in_ipc_namespace):
    """msgget() sets msg_qbytes of a new queue to the present MSGMNB."""

    def at_both() -> tuple[int, int]:
        first = msgctl_stat(make()).qbytes
        change_limit("kernel/msgmnb", 777)
        return first, msgctl_stat(make()).qbytes

    assert in_ipc_namespace({"kernel/msgmnb": 12345}, at_both) == (12345, 777)


@clause("msgget.msgmnb-changed-existing-kept", "proc_sys_kernel(5)", "/proc/sys/kernel/msgmnb")
def test_changed_msgmnb_keeps_existing_queues(in_ipc_namespace):
    """A change of MSGMNB does not change msg_qbytes of existing queues."""

    def change() -> int:
        msqid = make()
        change_limit("kernel/msgmnb", 10)
        msgsnd(msqid, 1, bytes(100), IPC_NOWAIT)
        return msgctl_stat(msqid).qbytes

    assert in_ipc_namespace({"kernel/msgmnb": 12345}, change) == 12345


@clause("msgsnd.msgmax-raised", "proc_sys_kernel(5)", "/proc/sys/kernel/msgmax")
def test_raised_msgmax_permits_longer_messages(in_ipc_namespace):
    """msgsnd() succeeds with messages of a raised MSGMAX, and fails with EINVAL for one byte more."""

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
def test_next_id_can_be_chosen(in_ipc_namespace):
    """msgget() uses the identifier in msg_next_id, if the kernel has it, for the next queue and resets it to -1."""

    def choose() -> tuple[int, int | None]:
        _needs("kernel/msg_next_id")
        change_limit("kernel/msg_next_id", 5)
        return make(), limit("kernel/msg_next_id")

    assert in_ipc_namespace({}, choose) == (5, -1)


@clause("msgget.next-id-in-use", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_next_id_in_use_is_not_used(in_ipc_namespace):
    """msgget() returns another identifier if the one in msg_next_id is in use."""

    def choose() -> bool:
        _needs("kernel/msg_next_id")
        used = make()
        change_limit("kernel/msg_next_id", used)
        return make() != used

    assert in_ipc_namespace({}, choose)


@clause("proc.msgmni-max-32768", "proc_sys_kernel(5)", "/proc/sys/kernel/msgmni", since="4.17")
def test_maximum_of_msgmni(in_ipc_namespace):
    """MSGMNI can be set to 32768, and a write of a higher value fails with EINVAL."""

    def both_sides() -> int | None:
        if "ipcmni_extend" in Path("/proc/cmdline").read_text():
            untested(Need.OTHER_KERNEL, "this kernel was started with ipcmni_extend, which raises the ceiling")
        change_limit("kernel/msgmni", 32768)
        with fails_with(EINVAL):
            set_limit("kernel/msgmni", 32769)
        return limit("kernel/msgmni")

    assert in_ipc_namespace({}, both_sides) == 32768


@clause("proc.kernel-defaults-msg", "msgop(2)", "NOTES", since="3.19")
def test_default_limits(in_ipc_namespace):
    """By default MSGMAX is 8192, MSGMNB 16384 and MSGMNI 32000."""

    def read_limits() -> list[int | None]:
        return [limit(f"kernel/{name}") for name in ("msgmax", "msgmnb", "msgmni")]

    assert in_ipc_namespace({}, read_limits) == [8192, 16384, 32000]


def _needs(name: str) -> None:
    if not os.path.exists(f"/proc/sys/{name}"):
        untested(Need.PROC_FILES, f"needs /proc/sys/{name}")
