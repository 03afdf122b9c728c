"""unshare(2): creating IPC and user namespaces, and the effects on the caller."""

from __future__ import annotations

import os
from errno import EINVAL, ENOENT, EPERM

from pytest_ipc import Need, clause, fails_with, trial, untested
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWUSER,
    GETVAL,
    IPC_CREAT,
    SEM_UNDO,
    semctl,
    semctl_setval,
    semget,
    semop,
    setns,
    shmget,
    unshare,
)

from ..credentials import leave
from .conftest import in_a_thread, opened, where


@clause("unshare.newipc-moves-the-caller", "unshare(2)", "CLONE_NEWIPC", since="2.6.19")
def test_newipc_moves_the_caller(in_a_child, sysv_shm):
    """unshare() with CLONE_NEWIPC moves the caller to a new IPC namespace, where its previous keys are not found."""
    segment = sysv_shm()

    def child() -> int:
        shmget(segment.key, 0, 0)
        leave(CLONE_NEWIPC)
        with fails_with(ENOENT):
            shmget(segment.key, 0, 0)
        return shmget(segment.key, 1, IPC_CREAT | 0o600)

    in_a_child(child)
    assert segment.exists()


@clause("unshare.newipc-parent-stays", "unshare(2)", "DESCRIPTION", since="2.6.19")
def test_parent_stays(in_a_child):
    """unshare() with CLONE_NEWIPC moves its caller, and not the caller's parent."""
    before = where()

    def child() -> str:
        leave(CLONE_NEWIPC)
        return where()

    assert in_a_child(child) != before == where()


@clause("unshare.newipc-only-the-calling-thread", "unshare(2)", "DESCRIPTION", since="2.6.19")
def test_other_threads_stay(in_a_child):
    """unshare() with CLONE_NEWIPC moves the calling thread and no other thread of the process."""

    def child() -> tuple[str, str, str]:
        def move() -> str:
            unshare(CLONE_NEWIPC)
            return where()

        leave(CLONE_NEWIPC)
        return where(), in_a_thread(move), where()

    before, inside, after = in_a_child(child)
    assert before == after != inside


@clause("unshare.children-inherit", "namespaces(7)", "DESCRIPTION")
def test_child_inherits_the_namespace(in_a_child, fork):
    """A child created with fork() is in the IPC namespace of its parent."""

    def child() -> tuple[str, str]:
        leave(CLONE_NEWIPC)
        return where(), fork(where).result()

    parents, childs = in_a_child(child)
    assert parents == childs


@clause("unshare.newipc-undoes-semaphores", "unshare(2)", "CLONE_NEWIPC", since="2.6.26")
def test_newipc_applies_semaphore_adjustments(in_a_child, fork):
    """unshare() with CLONE_NEWIPC applies the caller's semaphore adjustments, as it implies CLONE_SYSVSEM."""

    def child() -> tuple[int, int, int]:
        leave(CLONE_NEWIPC)
        semid = semget(0x4711, 1, IPC_CREAT | 0o600)
        semctl_setval(semid, 0, 5)
        original = opened()

        def decrement_and_leave() -> tuple[int, int]:
            semop(semid, [(0, -2, SEM_UNDO)])
            decremented = semctl(semid, 0, GETVAL)
            unshare(CLONE_NEWIPC)
            setns(original, CLONE_NEWIPC)
            return decremented, semctl(semid, 0, GETVAL)  # the process is alive, so its exit is not the cause

        decremented, restored = fork.keeping(original)(decrement_and_leave).result()
        os.close(original)
        return decremented, restored, semctl(semid, 0, GETVAL)

    assert in_a_child(child) == (3, 5, 5)


@clause("unshare.zero-is-a-no-op", "unshare(2)", "DESCRIPTION")
def test_no_flags_change_nothing(in_a_child):
    """unshare() with flags 0 succeeds and changes nothing."""

    def child() -> tuple[str, str]:
        before = where()
        unshare(0)
        return before, where()

    before, after = in_a_child(child)
    assert before == after


@clause("unshare.invalid-flag-einval", "unshare(2)", "ERRORS", errno=EINVAL)
def test_invalid_flag_fails(in_a_child):
    """unshare() fails with EINVAL for an invalid flag, and does not move the caller, whatever the other flags."""

    def child() -> tuple[str, str]:
        before = where()
        with fails_with(EINVAL):
            unshare(0x40 | CLONE_NEWIPC)
        return before, where()

    before, after = in_a_child(child)
    assert before == after


@clause("unshare.newipc-eperm", "unshare(2)", "ERRORS", errno=EPERM)
def test_newipc_needs_cap_sys_admin(unprivileged):
    """unshare() with CLONE_NEWIPC without CAP_SYS_ADMIN fails with EPERM, and does not move the caller."""

    def child() -> tuple[str, str]:
        before = where()
        with fails_with(EPERM):
            unshare(CLONE_NEWIPC)
        return before, where()

    before, after = unprivileged(child)
    assert before == after


@clause("unshare.newuser-threads-einval", "unshare(2)", "ERRORS", errno=EINVAL, since="3.8")
def test_newuser_with_several_threads_fails(in_a_child, besides_a_thread):
    """unshare() with CLONE_NEWUSER fails with EINVAL in a process with several threads."""

    def child() -> tuple[str, str]:
        before = where("user")
        with fails_with(EINVAL):
            besides_a_thread(lambda: unshare(CLONE_NEWUSER))
        return before, where("user")

    before, after = in_a_child(child)
    assert before == after


@clause(
    "unshare.newuser-with-newipc", "user_namespaces(7)", "Interaction of user namespaces and other types of namespaces"
)
def test_newuser_and_newipc_need_no_privilege(unprivileged):
    """unshare() with CLONE_NEWUSER | CLONE_NEWIPC succeeds without privilege."""

    def child() -> tuple[str, str]:
        before = where()
        if (refusal := trial(lambda: unshare(CLONE_NEWUSER))) is not None:
            untested(Need.USER_NAMESPACES, f"needs user namespaces for unprivileged users: {refusal.strerror}")
        unshare(CLONE_NEWUSER | CLONE_NEWIPC)
        return before, where()

    before, after = unprivileged(child)
    assert before != after
