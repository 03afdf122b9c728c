"""ipc_namespaces(7): segments, keys and limits of a namespace are its own."""

from __future__ import annotations

import os
from errno import ENOENT

from pytest_ipc import (
    IPC_CREAT,
    IPC_EXCL,
    IPC_PRIVATE,
    clause,
    fails_with,
    limit,
    shmctl_limits,
    shmctl_stat,
    shmget,
    sysvipc_shm,
    untested,
)


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
def test_a_namespace_takes_its_segments_with_it(in_ipc_namespace):
    """The segments of an IPC namespace are gone with its last process, and were never seen outside."""
    if sysvipc_shm() is None:
        untested("needs /proc/sysvipc")
    maker = in_ipc_namespace({}, lambda: (shmget(IPC_PRIVATE, 1, 0o600), os.getpid())[1])
    assert not [row for row in sysvipc_shm() or () if row.cpid == maker]


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


@clause("proc.kernel-defaults", "proc(5)", "/proc/sys/kernel", since="3.16")
def test_the_default_limits(in_ipc_namespace):
    """By default SHMMNI is 4096, and SHMMAX and SHMALL are as good as no limit: the greatest unsigned long less 2^24."""

    def tell() -> tuple[int | None, ...]:
        return tuple(limit(f"kernel/{name}") for name in ("shmmni", "shmmax", "shmall"))

    endless = 2 ** (8 * (8 if os.sysconf("SC_LONG_BIT") == 64 else 4)) - 1 - 2**24
    assert in_ipc_namespace({}, tell) == (4096, endless, endless)
