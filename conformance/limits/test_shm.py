"""proc(5), shmget(2): the limits of System V shared memory, tested at and above the limit in a new IPC namespace."""

from __future__ import annotations

import os
from errno import EINVAL, ENOSPC
from pathlib import Path

from pytest_ipc import Need, clause, disputed, fails_with, untested
from pytest_ipc.kernel import IPC_PRIVATE, limit, set_limit, shmat, shmctl_rmid, shmctl_stat, shmdt, shmget

from ..credentials import change_limit


def make(size: int) -> int:
    return shmget(IPC_PRIVATE, size, 0o600)


@clause("shmget.above-shmmax-einval", "shmget(2)", "ERRORS", errno=EINVAL)
def test_shmmax_limits_the_size(in_ipc_namespace):
    """shmget() succeeds with SHMMAX bytes, and fails with EINVAL for one byte more."""

    def both_sides() -> int:
        with fails_with(EINVAL):
            make(100_001)
        return shmctl_stat(make(100_000)).segsz

    assert in_ipc_namespace({"kernel/shmmax": 100_000}, both_sides) == 100_000


@clause("shmget.shmmni-enospc", "shmget(2)", "ERRORS", errno=ENOSPC)
def test_shmmni_limits_the_segments(in_ipc_namespace):
    """shmget() fails with ENOSPC if SHMMNI segments exist, and succeeds after one is removed."""

    def both_sides() -> int:
        shmids = [make(1) for _ in range(3)]
        with fails_with(ENOSPC):
            make(1)
        shmctl_rmid(shmids[1])
        return make(1)

    assert in_ipc_namespace({"kernel/shmmni": 3}, both_sides) >= 0


@clause("shmget.shmall-enospc", "shmget(2)", "ERRORS", errno=ENOSPC)
def test_shmall_limits_all_pages(in_ipc_namespace, page):
    """shmget() fails with ENOSPC if all segments together would have more than SHMALL pages, and otherwise succeeds."""

    def both_sides() -> int:
        make(2 * page)
        with fails_with(ENOSPC):
            make(2 * page + 1)
        return make(2 * page)

    assert in_ipc_namespace({"kernel/shmall": 4}, both_sides) >= 0


@clause("shmget.shmmax-lowered-existing-kept", "proc_sys_kernel(5)", "/proc/sys/kernel/shmmax")
def test_lowered_shmmax_keeps_existing_segments(in_ipc_namespace):
    """shmget() fails with EINVAL above a lowered SHMMAX; larger existing segments stay usable."""

    def lower() -> int:
        shmid = make(100_000)
        change_limit("kernel/shmmax", 50_000)
        with fails_with(EINVAL):
            make(50_001)
        shmdt(shmat(shmid))
        return shmctl_stat(shmid).segsz

    assert in_ipc_namespace({}, lower) == 100_000


@clause("shmget.next-id", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_next_id_can_be_chosen(in_ipc_namespace):
    """shmget() uses the identifier in shm_next_id, if the kernel has it, for the next segment and resets it to -1."""

    def choose() -> tuple[int, int | None]:
        _needs("kernel/shm_next_id")
        change_limit("kernel/shm_next_id", 5)
        return make(1), limit("kernel/shm_next_id")

    assert in_ipc_namespace({}, choose) == (5, -1)


@clause("shmget.next-id-in-use", "kernel.rst", "msg_next_id, sem_next_id, and shm_next_id", since="3.8")
def test_next_id_in_use_is_not_used(in_ipc_namespace):
    """shmget() returns another identifier if the one in shm_next_id is in use."""

    def choose() -> bool:
        _needs("kernel/shm_next_id")
        used = make(1)
        change_limit("kernel/shm_next_id", used)
        return make(1) != used

    assert in_ipc_namespace({}, choose)


@clause("proc.shm_rmid_forced.last-detach", "proc_sys_kernel(5)", "/proc/sys/kernel/shm_rmid_forced", since="3.1")
def test_forced_removal_at_the_last_detach(in_ipc_namespace, fork):
    """With shm_rmid_forced, shmdt() of the last attachment removes a segment whose creator has terminated."""

    def attach_and_detach() -> bool:
        _needs("kernel/shm_rmid_forced")
        shmid = fork(make, 1).result()
        address = shmat(shmid)
        change_limit("kernel/shm_rmid_forced", 1)
        attached = _exists(shmid)
        shmdt(address)
        return attached and not _exists(shmid)

    assert in_ipc_namespace({}, attach_and_detach)


@clause("proc.shm_rmid_forced.creator-exit", "proc_sys_kernel(5)", "/proc/sys/kernel/shm_rmid_forced", since="3.1")
def test_forced_removal_at_the_end_of_the_creator(in_ipc_namespace, fork):
    """With shm_rmid_forced, a segment that was never attached is removed when its creator terminates."""

    def let_a_child_make_one() -> tuple[bool, bool]:
        _needs("kernel/shm_rmid_forced")
        kept = fork(make, 1).result()
        kept_without = _exists(kept)
        change_limit("kernel/shm_rmid_forced", 1)
        return kept_without, _exists(fork(make, 1).result())

    assert in_ipc_namespace({}, let_a_child_make_one) == (True, False)


@clause(
    "proc.shm_rmid_forced.set-reaps",
    "proc_sys_kernel(5)",
    "/proc/sys/kernel/shm_rmid_forced",
    since="3.1",
    disputed="only segments whose creator has terminated are removed",
)
def test_setting_shm_rmid_forced_removes_unattached_segments(in_ipc_namespace, fork):
    """Setting shm_rmid_forced to 1 removes every segment without attachments."""

    def switch_on() -> tuple[bool, bool]:
        _needs("kernel/shm_rmid_forced")
        orphan, own = fork(make, 1).result(), make(1)
        assert _exists(orphan)
        change_limit("kernel/shm_rmid_forced", 1)
        return _exists(orphan), _exists(own)

    orphan, own = in_ipc_namespace({}, switch_on)
    assert not orphan, "a segment whose creator has terminated was not removed"
    if own:
        disputed(manual="that all unattached segments are removed", linux="keeps those whose creator is alive")


@clause("proc.msgmni-shmmni-max-32768", "proc_sys_kernel(5)", "/proc/sys/kernel/shmmni", since="4.17")
def test_maximum_of_shmmni(in_ipc_namespace):
    """SHMMNI can be set to 32768, and a write of a higher value fails with EINVAL."""

    def both_sides() -> int | None:
        if "ipcmni_extend" in Path("/proc/cmdline").read_text():
            untested(Need.OTHER_KERNEL, "this kernel was started with ipcmni_extend, which raises the ceiling")
        change_limit("kernel/shmmni", 32768)
        with fails_with(EINVAL):
            set_limit("kernel/shmmni", 32769)
        return limit("kernel/shmmni")

    assert in_ipc_namespace({}, both_sides) == 32768


def _needs(name: str) -> None:
    if not os.path.exists(f"/proc/sys/{name}"):
        untested(Need.PROC_FILES, f"needs /proc/sys/{name}")


def _exists(shmid: int) -> bool:
    try:
        shmctl_stat(shmid)
    except OSError:
        return False
    return True
