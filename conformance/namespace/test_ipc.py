"""ipc_namespaces(7): segments, keys and limits of a namespace are its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from ctypes import c_ulong, sizeof
from errno import EAGAIN, ENOENT, ENOMEM, EPERM

from pytest_ipc import clause, fails_with, untested, unused_key
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
def test_what_is_outside_is_not_seen_inside(sysv_shm, in_ipc_namespace):
    """A segment is not found from another IPC namespace, neither by its key nor by its identifier."""
    segment = sysv_shm()

    def look_for_it() -> None:
        with fails_with(ENOENT):
            shmget(segment.key, 0, 0)
        try:
            found = shmctl_stat(segment.id)
        except OSError:
            return
        assert found.perm.key != segment.key

    in_ipc_namespace({}, look_for_it)
    assert shmget(segment.key, 0, 0) == segment.id


@clause("ipc.ns-same-key-both-sides", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_a_key_may_be_used_on_both_sides(sysv_shm, in_ipc_namespace):
    """A key that is in use in one IPC namespace is free in another."""
    segment = sysv_shm(4096)
    inside = in_ipc_namespace({}, lambda: shmctl_stat(shmget(segment.key, 1, IPC_CREAT | IPC_EXCL | 0o600)).segsz)
    assert (inside, segment.stat().segsz) == (1, 4096)


@clause("ipc.ns-destroyed-with-last-member", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_a_namespace_takes_its_segments_with_it(ipc_namespace, page):
    """When the last process of an IPC namespace has ended its segments are destroyed: what they had locked of memory is free."""
    user = 62000 + os.getpid() % 3000  # of whom nobody else has anything locked
    doomed, other = ipc_namespace(), ipc_namespace()

    def lock(keep: bool) -> bool:
        """Whether the user may lock two pages more, which are all that the limit allows."""
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
        untested("needs RLIMIT_MEMLOCK to allow two pages of segments")
    assert doomed.fork(lock, True).result()
    if other.fork(lock, False).result():
        untested("needs a kernel that counts what segments have locked for their user")
    doomed.close()
    assert Deadline(5).until(lambda: other.fork(lock, False).result()), (
        "the memory of its segments stayed locked for 5 s"
    )


@clause("ipc.ns-sysctls-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_a_namespaces_limits_are_its_own(in_ipc_namespace):
    """The limits set in an IPC namespace are what IPC_INFO tells there, and change nothing outside."""
    before = shmctl_limits()
    wanted = {"kernel/shmmax": 123_456, "kernel/shmall": 77, "kernel/shmmni": 5}

    def tell() -> tuple[int, int, int]:
        limits = shmctl_limits()
        return limits.shmmax, limits.shmall, limits.shmmni

    assert in_ipc_namespace(wanted, tell) == (123_456, 77, 5)
    after = shmctl_limits()
    assert (after.shmmax, after.shmall, after.shmmni) == (before.shmmax, before.shmall, before.shmmni)


@clause("ipc.ns-fresh-defaults", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_a_new_namespace_begins_with_the_defaults(in_ipc_namespace, sysv_shm):
    """A new IPC namespace has no segment in it and the kernel's default limits, whatever they were where it was made."""
    sysv_shm()

    def begin() -> tuple[int, int | None]:
        rows = sysvipc_shm()
        if rows is None:
            untested("needs /proc/sysvipc")
        return len(rows), limit("kernel/shmmni")

    assert in_ipc_namespace({}, begin) == (0, 4096)


@clause("proc.kernel-defaults", "proc_sys_kernel(5)", "/proc/sys/kernel/", since="3.16")
def test_the_default_limits(in_ipc_namespace):
    """By default SHMMNI is 4096, and SHMMAX and SHMALL are as good as no limit: the greatest unsigned long less 2^24."""

    def tell() -> tuple[int | None, ...]:
        return tuple(limit(f"kernel/{name}") for name in ("shmmni", "shmmax", "shmall"))

    shmmni, shmmax, shmall = in_ipc_namespace({}, tell)
    # The kernel's unsigned long: under a 64-bit kernel not that of a 32-bit program.
    longs = {8 * sizeof(c_ulong), 64}
    assert shmmni == 4096
    assert shmmax == shmall
    assert shmall in [2**bits - 1 - 2**24 for bits in longs]


@clause("ipc.ns-visible-to-all-members", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_what_one_member_makes_the_others_see(ipc_namespace):
    """A segment made by one process of an IPC namespace is seen by every other process of it."""
    namespace, key = ipc_namespace(), unused_key()
    made = namespace.fork(shmget, key, 123, IPC_CREAT | 0o600).result()
    assert namespace.fork(lambda: (shmget(key, 0, 0), shmctl_stat(made).segsz)).result() == (made, 123)


@clause("ipc.ns-outlives-its-maker", "namespaces(7)", "Namespace lifetime")
def test_objects_stay_while_a_descriptor_refers_to_the_namespace(ipc_namespace):
    """The objects of an IPC namespace stay when its last process has ended, as long as a descriptor refers to it."""
    namespace, key = ipc_namespace(), unused_key()
    maker = namespace.fork(shmget, key, 1, IPC_CREAT | 0o600)
    made = maker.result()
    maker.end()
    assert namespace.fork(shmget, key, 0, 0).result() == made


@clause("ipc.ns-sysvipc-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_the_list_of_segments_is_the_namespaces(sysv_shm, in_ipc_namespace):
    """/proc/sysvipc/shm lists the segments of the reader's IPC namespace and no others."""
    outside, key = sysv_shm(), unused_key()

    def rows() -> list[int] | None:
        shmget(key, 1, IPC_CREAT | 0o600)
        found = sysvipc_shm()
        return None if found is None else [row.key for row in found]

    inside = in_ipc_namespace({}, rows)
    if inside is None:
        untested("needs /proc/sysvipc")
    assert inside == [key]
    keys = [row.key for row in sysvipc_shm() or ()]
    assert outside.key in keys
    assert key not in keys


@clause("ipc.ns-ipcs-shows-the-namespace", "ipcs(1)", "DESCRIPTION")
def test_ipcs_in_a_new_namespace_shows_nothing(sysv_shm, in_ipc_namespace):
    """`ipcs` in a new IPC namespace lists no object, whatever there is where it was made."""
    program = shutil.which("ipcs")
    if program is None:
        untested("needs ipcs")
    segment = sysv_shm()

    def keys() -> list[str]:
        done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=30)
        return re.findall(r"^0x[0-9a-f]+", done.stdout, re.MULTILINE)

    if f"{segment.key:#010x}" not in keys():
        untested("`ipcs` shows no segment here at all")
    assert in_ipc_namespace({}, keys) == []


@clause("ipc.ns-semaphore-limits-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_the_limits_of_semaphores_are_the_namespaces(ipc_namespace):
    """The four limits of semaphores are each IPC namespace's own, in /proc/sys/kernel/sem and to IPC_INFO."""
    wanted = [11, 222, 13, 14]
    before = limit_fields("kernel/sem")

    def tell() -> tuple[list[int] | None, list[int]]:
        told = semctl_limits()
        return limit_fields("kernel/sem"), [told.semmsl, told.semmns, told.semopm, told.semmni]

    assert ipc_namespace(sem=wanted).fork(tell).result() == (wanted, wanted)
    assert limit_fields("kernel/sem") == before


@clause("ipc.ns-message-limits-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.19")
def test_the_limits_of_messages_are_the_namespaces(ipc_namespace):
    """msgmax, msgmnb and msgmni below /proc/sys/kernel are each IPC namespace's own."""
    wanted = {"msgmax": 111, "msgmnb": 2222, "msgmni": 13}

    def tell() -> dict[str, int | None]:
        return {name: limit(f"kernel/{name}") for name in wanted}

    before = tell()
    assert ipc_namespace(**wanted).fork(tell).result() == wanted
    assert tell() == before


@clause("ipc.ns-mqueue-limits-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="2.6.30")
def test_the_limits_of_message_queues_are_the_namespaces(ipc_namespace):
    """The files below /proc/sys/fs/mqueue are each IPC namespace's own."""
    if limit("fs/mqueue/msg_max") is None:
        untested("needs /proc/sys/fs/mqueue")
    wanted = {"queues_max": 17, "msg_max": 18, "msgsize_max": 1900, "msg_default": 3, "msgsize_default": 400}

    def tell() -> dict[str, int | None]:
        return {name: limit(f"fs/mqueue/{name}") for name in wanted}

    before = tell()
    assert ipc_namespace(mqueue=wanted).fork(tell).result() == wanted
    assert tell() == before


@clause("ipc.ns-forced-removal-per-namespace", "ipc_namespaces(7)", "DESCRIPTION", since="3.1")
def test_forced_removal_is_the_namespaces(ipc_namespace):
    """shm_rmid_forced is each IPC namespace's own: switched on in one it takes no segment away in another."""
    if limit("kernel/shm_rmid_forced") is None:
        untested("needs /proc/sys/kernel/shm_rmid_forced")
    plain, forced, key = ipc_namespace(), ipc_namespace(shm_rmid_forced=1), unused_key()

    def is_there() -> bool:
        try:
            return shmget(key, 0, 0) >= 0
        except FileNotFoundError:
            return False

    for namespace in (plain, forced):  # each made by a process that ends at once
        namespace.fork(shmget, key, 1, IPC_CREAT | 0o600).result()
    assert (plain.fork(is_there).result(), forced.fork(is_there).result()) == (True, False)
