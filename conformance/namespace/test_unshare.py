"""unshare(2): what leaving for a new IPC or user namespace takes, and what it does to the caller."""

from __future__ import annotations

import os
from errno import EINVAL, ENOENT, EPERM

from pytest_ipc import clause, fails_with, trial, untested
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
    """After unshare(CLONE_NEWIPC) the caller is in another IPC namespace, where no key of before is known."""
    segment = sysv_shm()

    def life() -> int:
        shmget(segment.key, 0, 0)
        leave(CLONE_NEWIPC)
        with fails_with(ENOENT):
            shmget(segment.key, 0, 0)
        return shmget(segment.key, 1, IPC_CREAT | 0o600)

    in_a_child(life)
    assert segment.exists()


@clause("unshare.newipc-parent-stays", "unshare(2)", "DESCRIPTION", since="2.6.19")
def test_the_parent_stays_where_it_is(in_a_child):
    """unshare() moves nobody but its caller: parent and caller are in different IPC namespaces afterwards."""
    before = where()

    def life() -> str:
        leave(CLONE_NEWIPC)
        return where()

    assert in_a_child(life) != before == where()


@clause("unshare.newipc-only-the-calling-thread", "unshare(2)", "DESCRIPTION", since="2.6.19")
def test_the_other_threads_stay_where_they_are(in_a_child):
    """unshare(CLONE_NEWIPC) moves the calling thread and no other thread of its process."""

    def life() -> tuple[str, str, str]:
        def move() -> str:
            unshare(CLONE_NEWIPC)
            return where()

        leave(CLONE_NEWIPC)
        return where(), in_a_thread(move), where()

    before, inside, after = in_a_child(life)
    assert before == after != inside


@clause("unshare.children-inherit", "namespaces(7)", "DESCRIPTION")
def test_children_are_where_their_parent_is(in_a_child, fork):
    """A child is in the IPC namespace that its parent is in when it is made."""

    def life() -> tuple[str, str]:
        leave(CLONE_NEWIPC)
        return where(), fork(where).result()

    parents, childs = in_a_child(life)
    assert parents == childs


@clause("unshare.newipc-undoes-semaphores", "unshare(2)", "CLONE_NEWIPC", since="2.6.26")
def test_semaphore_adjustments_are_carried_out_on_leaving(in_a_child, fork):
    """unshare(CLONE_NEWIPC) implies CLONE_SYSVSEM: the caller's semaphore adjustments are carried out when it leaves."""

    def life() -> tuple[int, int, int]:
        leave(CLONE_NEWIPC)
        semid = semget(0x4711, 1, IPC_CREAT | 0o600)
        semctl_setval(semid, 0, 5)
        here = opened()

        def take_and_leave() -> tuple[int, int]:
            semop(semid, [(0, -2, SEM_UNDO)])
            taken = semctl(semid, 0, GETVAL)
            unshare(CLONE_NEWIPC)
            setns(here, CLONE_NEWIPC)
            return taken, semctl(semid, 0, GETVAL)  # the taker lives: it is not its end that has given back

        taken, given_back = fork.keeping(here)(take_and_leave).result()
        os.close(here)
        return taken, given_back, semctl(semid, 0, GETVAL)

    assert in_a_child(life) == (3, 5, 5)


@clause("unshare.zero-is-a-no-op", "unshare(2)", "DESCRIPTION")
def test_no_flag_changes_nothing(in_a_child):
    """unshare(0) succeeds and leaves the caller where it is."""

    def life() -> tuple[str, str]:
        before = where()
        unshare(0)
        return before, where()

    before, after = in_a_child(life)
    assert before == after


@clause("unshare.invalid-flag-einval", "unshare(2)", "ERRORS", errno=EINVAL)
def test_a_flag_that_there_is_not(in_a_child):
    """unshare() with a bit that is no flag fails, and the caller stays where it is, whatever else it asked for."""

    def life() -> tuple[str, str]:
        before = where()
        with fails_with(EINVAL):
            unshare(0x40 | CLONE_NEWIPC)
        return before, where()

    before, after = in_a_child(life)
    assert before == after


@clause("unshare.newipc-eperm", "unshare(2)", "ERRORS", errno=EPERM)
def test_newipc_needs_a_privilege(unprivileged):
    """unshare(CLONE_NEWIPC) fails without CAP_SYS_ADMIN, and the caller stays where it is."""

    def life() -> tuple[str, str]:
        before = where()
        with fails_with(EPERM):
            unshare(CLONE_NEWIPC)
        return before, where()

    before, after = unprivileged(life)
    assert before == after


@clause("unshare.newuser-threads-einval", "unshare(2)", "ERRORS", errno=EINVAL, since="3.8")
def test_newuser_needs_a_process_of_one_thread(in_a_child, besides_a_thread):
    """unshare(CLONE_NEWUSER) fails in a process that has another thread."""

    def life() -> tuple[str, str]:
        before = where("user")
        with fails_with(EINVAL):
            besides_a_thread(lambda: unshare(CLONE_NEWUSER))
        return before, where("user")

    before, after = in_a_child(life)
    assert before == after


@clause(
    "unshare.newuser-with-newipc", "user_namespaces(7)", "Interaction of user namespaces and other types of namespaces"
)
def test_both_at_once_need_no_privilege(unprivileged):
    """An unprivileged process may make an IPC namespace along with a user namespace in one call."""

    def life() -> tuple[str, str]:
        before = where()
        if (refusal := trial(lambda: unshare(CLONE_NEWUSER))) is not None:
            untested(f"needs user namespaces for ordinary users: {refusal.strerror}")
        unshare(CLONE_NEWUSER | CLONE_NEWIPC)
        return before, where()

    before, after = unprivileged(life)
    assert before != after
