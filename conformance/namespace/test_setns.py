"""setns(2): joining an IPC namespace by a descriptor of the namespace or of a process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EBADF, EINVAL, EPERM, ESRCH
from typing import Any

import pytest

from pytest_ipc import Need, clause, fails_with, untested
from pytest_ipc.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    IPC_CREAT,
    pidfd_open,
    setns,
    shmctl_stat,
    shmget,
    unshare,
)

from ..credentials import leave
from .conftest import in_a_thread, opened, where

KEY = 0x4711


@pytest.fixture
def two_namespaces(in_a_child) -> Callable[[Callable[[int, int], Any]], Any]:
    """Run function(home, away) in a child that is in `away`; both are descriptors of IPC namespaces."""

    def run(function: Callable[[int, int], Any]) -> Any:
        def child() -> Any:
            leave(CLONE_NEWIPC)
            home = opened()
            unshare(CLONE_NEWIPC)
            return function(home, opened())

        return in_a_child(child)

    return run


@clause("setns.ipc-joins", "setns(2)", "DESCRIPTION", since="3.0")
def test_objects_of_the_joined_namespace_are_found(two_namespaces):
    """setns() joins an IPC namespace: the caller finds its objects
    by key, and no longer those of its previous namespace.
    """

    def child(home: int, away: int) -> tuple[int, bool, int]:
        shmget(KEY, 222, IPC_CREAT | 0o600)
        setns(home, CLONE_NEWIPC)
        shmget(KEY, 111, IPC_CREAT | 0o600)
        first = shmctl_stat(shmget(KEY, 0, 0)).segsz
        setns(away, CLONE_NEWIPC)
        second = shmctl_stat(shmget(KEY, 0, 0)).segsz
        return first, os.readlink(f"/proc/self/fd/{away}") == where(), second

    assert two_namespaces(child) == (111, True, 222)


@clause("setns.nstype-0-any", "setns(2)", "DESCRIPTION")
def test_type_0_accepts_any_namespace(two_namespaces):
    """setns() with nstype 0 joins a namespace of any type."""

    def child(home: int, _away: int) -> bool:
        setns(home, 0)
        return os.readlink(f"/proc/self/fd/{home}") == where()

    assert two_namespaces(child)


@clause("setns.only-the-calling-thread", "setns(2)", "DESCRIPTION")
def test_other_threads_stay(two_namespaces):
    """setns() moves the calling thread and no other thread of the process."""

    def child(home: int, away: int) -> tuple[bool, bool]:
        def move() -> str:
            setns(home, CLONE_NEWIPC)
            return where()

        moved = in_a_thread(move)
        return moved == os.readlink(f"/proc/self/fd/{home}"), where() == os.readlink(f"/proc/self/fd/{away}")

    assert two_namespaces(child) == (True, True)


@clause("setns.nstype-mismatch-einval", "setns(2)", "ERRORS", errno=EINVAL)
def test_type_mismatch_fails(two_namespaces):
    """setns() fails with EINVAL if nstype does not match the type of the namespace, and does not move the caller."""

    def child(home: int, away: int) -> bool:
        with fails_with(EINVAL):
            setns(home, CLONE_NEWUTS)
        return where() == os.readlink(f"/proc/self/fd/{away}")

    assert two_namespaces(child)


@clause("setns.ebadf", "setns(2)", "ERRORS", errno=EBADF)
def test_closed_descriptor_fails(two_namespaces):
    """setns() fails with EBADF for a descriptor that is not open."""

    def child(home: int, _away: int) -> None:
        os.close(home)
        with fails_with(EBADF):
            setns(home, CLONE_NEWIPC)

    two_namespaces(child)


@clause("setns.no-namespace-einval", "setns(2)", "ERRORS", errno=EINVAL)
def test_descriptor_of_another_kind_fails(two_namespaces):
    """setns() fails with EINVAL for a descriptor that does not refer to a namespace."""

    def child(_home: int, _away: int) -> None:
        with open("/dev/null") as file, fails_with(EINVAL):
            setns(file.fileno(), CLONE_NEWIPC)

    two_namespaces(child)


@clause("setns.ipc-eperm", "setns(2)", "ERRORS", errno=EPERM)
def test_joining_needs_cap_sys_admin(unprivileged):
    """setns() to an IPC namespace without CAP_SYS_ADMIN fails with EPERM, even for the caller's own namespace."""

    def child() -> None:
        with fails_with(EPERM):
            setns(own, CLONE_NEWIPC)

    own = opened()
    try:
        unprivileged(child)
    finally:
        os.close(own)


@clause("setns.userns-own-einval", "setns(2)", "ERRORS", errno=EINVAL, since="3.8")
def test_joining_the_own_user_namespace_fails(in_a_child):
    """setns() to the caller's own user namespace fails with EINVAL."""

    def child() -> None:
        own = opened("user")
        with fails_with(EINVAL):
            setns(own, CLONE_NEWUSER)

    in_a_child(child)


@clause("setns.pidfd-joins", "setns(2)", "fd is a PID file descriptor", since="5.8")
def test_pidfd_joins_the_namespaces_of_a_process(child_in_new_namespace, in_a_child):
    """setns() with a PID file descriptor joins the namespaces of that process that nstype names."""
    child = child_in_new_namespace()
    target = os.readlink(f"/proc/{child.pid}/ns/ipc")
    same_user = os.readlink(f"/proc/{child.pid}/ns/user") == where("user")

    def in_child() -> str:
        process = pidfd_open(child.pid)
        setns(process, CLONE_NEWIPC if same_user else CLONE_NEWIPC | CLONE_NEWUSER)
        return where()

    assert in_a_child(in_child) == target != where()


@clause("setns.pidfd-nstype-0-einval", "setns(2)", "ERRORS", errno=EINVAL, since="5.8")
def test_pidfd_with_type_0_fails(in_a_child):
    """setns() with a PID file descriptor and nstype 0 fails with EINVAL."""

    def child() -> None:
        process = pidfd_open(os.getpid())
        with fails_with(EINVAL):
            setns(process, 0)

    in_a_child(child)


@clause("setns.pidfd-dead-esrch", "setns(2)", "ERRORS", errno=ESRCH, since="5.8")
def test_pidfd_of_a_terminated_process_fails(in_a_child):
    """setns() with a PID file descriptor fails with ESRCH if the process has terminated and been waited for."""

    def in_child() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        process = pidfd_open(child)
        os.waitpid(child, 0)
        with fails_with(ESRCH):
            setns(process, CLONE_NEWIPC)

    in_a_child(in_child)


@clause("setns.userns-gives-capabilities", "setns(2)", "User namespaces", since="3.8")
def test_joining_a_user_namespace_grants_its_capabilities(in_a_child, fork):
    """setns() to a user namespace grants all capabilities in it, which permit joining an IPC namespace that it owns."""

    def child() -> tuple[bool, bool]:
        def make() -> None:
            try:
                unshare(CLONE_NEWUSER | CLONE_NEWIPC)
            except OSError as error:
                untested(Need.USER_NAMESPACES, f"needs user namespaces: {error.strerror}")
            signal.pause()

        maker = fork(make)
        maker.wait_blocked("pause")
        user, ipc = opened("user", maker.pid), opened("ipc", maker.pid)

        def join() -> tuple[str, str]:
            setns(user, CLONE_NEWUSER)
            setns(ipc, CLONE_NEWIPC)
            return where("user"), where()

        wanted = tuple(os.readlink(f"/proc/{maker.pid}/ns/{kind}") for kind in ("user", "ipc"))
        return fork.keeping(user, ipc)(join).result() == wanted, wanted[1] != where()

    assert in_a_child(child) == (True, True)
