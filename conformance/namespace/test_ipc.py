"""ipc_namespaces(7): each namespace has its own segments, keys and limits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from ctypes import c_ulong, sizeof
from errno import EAGAIN, ENOENT, ENOMEM, EPERM

from pytest_ipc import Need, clause, fails_with, untested, unused_key
from pytest_ipc.kernel import (
    IPC_CREAT,
    IPC_EXCL,
    IPC_PRIVATE,
    SHM_LOCK,
    Deadline,
    limit,
    limit_fields,
    semctl_limits,
    shmctl,
    shmctl_limits,
    shmctl_rmid,
    shmctl_stat,
    shmget,
    sysvipc_shm,
)

from ..credentials import become, limit_process


@clause("ipc.ns-isolation", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_segment_is_not_visible_in_another_namespace(sysv_shm, in_ipc_namespace):
    """A segment is not found in another IPC namespace by its key or its identifier."""
    segment = sysv_shm()

    def look_up() -> None:
        with fails_with(ENOENT):
            shmget(segment.key, 0, 0)
        try:
            found = shmctl_stat(segment.id)
        except OSError:
            return
        assert found.perm.key != segment.key

    in_ipc_namespace({}, look_up)
    assert shmget(segment.key, 0, 0) == segment.id


@clause("ipc.ns-same-key-both-sides", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_key_can_be_used_in_both_namespaces(sysv_shm, in_ipc_namespace):
    """A key in use in one IPC namespace is free in another."""
    segment = sysv_shm(4096)
    inside = in_ipc_namespace({}, lambda: shmctl_stat(shmget(segment.key, 1, IPC_CREAT | IPC_EXCL | 0o600)).segsz)
    assert (inside, segment.stat().segsz) == (1, 4096)


@clause("ipc.ns-destroyed-with-last-member", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_end_of_the_last_process_destroys_the_segments(ipc_namespace, page):
    """The segments of an IPC namespace are destroyed after its last
    process terminates, and their locked memory is unlocked.
    """
    user = 62000 + os.getpid() % 3000  # an unused uid, which has no locked memory
    doomed, other = ipc_namespace(), ipc_namespace()

    def lock(keep: bool) -> bool:
        """Return whether the user can lock two more pages, which are the limit."""
        become(user, user)
        limit_process("MEMLOCK", 2 * page, 2 * page)
        segment = shmget(IPC_PRIVATE, 2 * page, 0o600)
        try:
            shmctl(segment, SHM_LOCK)
        except OSError as error:
            if error.errno not in (ENOMEM, EPERM, EAGAIN):
                raise
            return False
        if not keep:
            shmctl_rmid(segment)
        return True

    if not other.fork(lock, False).result():
        untested(Need.PROCESS_LIMITS, "needs RLIMIT_MEMLOCK to allow two pages of segments")
    assert doomed.fork(lock, True).result()
    if other.fork(lock, False).result():
        untested(Need.NEWER_KERNEL, "needs a kernel that counts what segments have locked for their user")
    doomed.close()
    assert Deadline(5).until(lambda: other.fork(lock, False).result()), (
        "the memory of its segments stayed locked for 5 s"
    )


@clause("ipc.ns-sysctls-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_limits_are_per_namespace(in_ipc_namespace):
    """Shared memory limits are per IPC namespace: IPC_INFO returns those of the caller and others are unchanged."""
    before = shmctl_limits()
    wanted = {"kernel/shmmax": 123_456, "kernel/shmall": 77, "kernel/shmmni": 5}

    def read_limits() -> tuple[int, int, int]:
        limits = shmctl_limits()
        return limits.shmmax, limits.shmall, limits.shmmni

    assert in_ipc_namespace(wanted, read_limits) == (123_456, 77, 5)
    after = shmctl_limits()
    assert (after.shmmax, after.shmall, after.shmmni) == (before.shmmax, before.shmall, before.shmmni)


@clause("ipc.ns-fresh-defaults", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_new_namespace_has_the_defaults(in_ipc_namespace, sysv_shm):
    """A new IPC namespace has no segments and the default limits, whatever those of its parent namespace."""
    sysv_shm()

    def read_state() -> tuple[int, int | None]:
        rows = sysvipc_shm()
        if rows is None:
            untested(Need.PROC_FILES, "needs /proc/sysvipc")
        return len(rows), limit("kernel/shmmni")

    assert in_ipc_namespace({}, read_state) == (0, 4096)


@clause("proc.kernel-defaults", "proc_sys_kernel(5)", "/proc/sys/kernel/", since="3.16")
def test_default_limits(in_ipc_namespace):
    """By default SHMMNI is 4096, and SHMMAX and SHMALL are ULONG_MAX - 2^24."""

    def read_limits() -> tuple[int | None, ...]:
        return tuple(limit(f"kernel/{name}") for name in ("shmmni", "shmmax", "shmall"))

    shmmni, shmmax, shmall = in_ipc_namespace({}, read_limits)
    # The kernel's unsigned long has 64 bits also for a 32-bit program on a 64-bit kernel.
    longs = {8 * sizeof(c_ulong), 64}
    assert shmmni == 4096
    assert shmmax == shmall
    assert shmall in [2**bits - 1 - 2**24 for bits in longs]


@clause("ipc.ns-visible-to-all-members", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_segment_is_visible_to_all_members(ipc_namespace):
    """A segment created by one process of an IPC namespace is visible to every other process of it."""
    namespace, key = ipc_namespace(), unused_key()
    made = namespace.fork(shmget, key, 123, IPC_CREAT | 0o600).result()
    assert namespace.fork(lambda: (shmget(key, 0, 0), shmctl_stat(made).segsz)).result() == (made, 123)


@clause("ipc.ns-outlives-its-maker", "namespaces(7)", "Namespace lifetime")
def test_descriptor_keeps_the_namespace(ipc_namespace):
    """The objects of an IPC namespace exist after its last process has terminated while a descriptor refers to it."""
    namespace, key = ipc_namespace(), unused_key()
    maker = namespace.fork(shmget, key, 1, IPC_CREAT | 0o600)
    made = maker.result()
    maker.close()
    assert namespace.fork(shmget, key, 0, 0).result() == made


@clause("ipc.ns-sysvipc-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_proc_lists_the_segments_of_the_namespace(sysv_shm, in_ipc_namespace):
    """/proc/sysvipc/shm lists exactly the segments of the reader's IPC namespace."""
    outside, key = sysv_shm(), unused_key()

    def rows() -> list[int] | None:
        shmget(key, 1, IPC_CREAT | 0o600)
        found = sysvipc_shm()
        return None if found is None else [row.key for row in found]

    inside = in_ipc_namespace({}, rows)
    if inside is None:
        untested(Need.PROC_FILES, "needs /proc/sysvipc")
    assert inside == [key]
    keys = [row.key for row in sysvipc_shm() or ()]
    assert outside.key in keys
    assert key not in keys


@clause("ipc.ns-ipcs-shows-the-namespace", "ipcs(1)", "DESCRIPTION")
def test_ipcs_in_a_new_namespace_lists_nothing(sysv_shm, in_ipc_namespace):
    """ipcs(1) in a new IPC namespace lists no object."""
    program = shutil.which("ipcs")
    if program is None:
        untested(Need.PROGRAMS, "needs ipcs")
    segment = sysv_shm()

    def keys() -> list[str]:
        done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=30)
        return re.findall(r"^0x[0-9a-f]+", done.stdout, re.MULTILINE)

    if f"{segment.key:#010x}" not in keys():
        untested(Need.PROGRAMS, "`ipcs` shows no segment here at all")
    assert in_ipc_namespace({}, keys) == []


@clause("ipc.ns-semaphore-limits-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_semaphore_limits_are_per_namespace(ipc_namespace):
    """The four semaphore limits are per IPC namespace, in /proc/sys/kernel/sem and IPC_INFO."""
    wanted = [11, 222, 13, 14]
    before = limit_fields("kernel/sem")

    def read_limits() -> tuple[list[int] | None, list[int]]:
        found = semctl_limits()
        return limit_fields("kernel/sem"), [found.semmsl, found.semmns, found.semopm, found.semmni]

    assert ipc_namespace(sem=wanted).fork(read_limits).result() == (wanted, wanted)
    assert limit_fields("kernel/sem") == before


@clause("ipc.ns-message-limits-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_message_limits_are_per_namespace(ipc_namespace):
    """msgmax, msgmnb and msgmni in /proc/sys/kernel are per IPC namespace."""
    wanted = {"msgmax": 111, "msgmnb": 2222, "msgmni": 13}

    def read_limits() -> dict[str, int | None]:
        return {name: limit(f"kernel/{name}") for name in wanted}

    before = read_limits()
    assert ipc_namespace(**wanted).fork(read_limits).result() == wanted
    assert read_limits() == before


@clause("ipc.ns-mqueue-limits-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.30")
def test_mqueue_limits_are_per_namespace(ipc_namespace):
    """The limits in /proc/sys/fs/mqueue are per IPC namespace."""
    if limit("fs/mqueue/msg_max") is None:
        untested(Need.PROC_FILES, "needs /proc/sys/fs/mqueue")
    wanted = {"queues_max": 17, "msg_max": 18, "msgsize_max": 1900, "msg_default": 3, "msgsize_default": 400}

    def read_limits() -> dict[str, int | None]:
        return {name: limit(f"fs/mqueue/{name}") for name in wanted}

    before = read_limits()
    assert ipc_namespace(mqueue=wanted).fork(read_limits).result() == wanted
    assert read_limits() == before


@clause("ipc.ns-forced-removal-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="3.1")
def test_forced_removal_is_per_namespace(ipc_namespace):
    """shm_rmid_forced is per IPC namespace: set in one, it removes no segment of another."""
    if limit("kernel/shm_rmid_forced") is None:
        untested(Need.PROC_FILES, "needs /proc/sys/kernel/shm_rmid_forced")
    plain, forced, key = ipc_namespace(), ipc_namespace(shm_rmid_forced=1), unused_key()

    def exists() -> bool:
        try:
            return shmget(key, 0, 0) >= 0
        except FileNotFoundError:
            return False

    for namespace in (plain, forced):  # created by a process that terminates at once
        namespace.fork(shmget, key, 1, IPC_CREAT | 0o600).result()
    assert (plain.fork(exists).result(), forced.fork(exists).result()) == (True, False)
