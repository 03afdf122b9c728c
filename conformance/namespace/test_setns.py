"""setns(2): joining the IPC namespace of somebody else, by a descriptor of it or of a process in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EBADF, EINVAL, EPERM, ESRCH
from typing import Any

import pytest

from pytest_ipc import clause, fails_with, untested
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
def home_and_away(in_a_child) -> Callable[[Callable[[int, int], Any]], Any]:
    """Run function(home, away) in a child that is in `away`, both descriptors of IPC namespaces that it may join."""

    def run(function: Callable[[int, int], Any]) -> Any:
        def life() -> Any:
            leave(CLONE_NEWIPC)
            home = opened()
            unshare(CLONE_NEWIPC)
            return function(home, opened())

        return in_a_child(life)

    return run


@clause("setns.ipc-joins", "setns(2)", "DESCRIPTION", since="3.0")
def test_what_was_made_there_is_found_there(home_and_away):
    """A process that joins an IPC namespace finds by its key what was made there, and no longer what is where it was."""

    def life(home: int, away: int) -> tuple[int, bool, int]:
        shmget(KEY, 222, IPC_CREAT | 0o600)
        setns(home, CLONE_NEWIPC)
        shmget(KEY, 111, IPC_CREAT | 0o600)
        first = shmctl_stat(shmget(KEY, 0, 0)).segsz
        setns(away, CLONE_NEWIPC)
        second = shmctl_stat(shmget(KEY, 0, 0)).segsz
        return first, os.readlink(f"/proc/self/fd/{away}") == where(), second

    assert home_and_away(life) == (111, True, 222)


@clause("setns.nstype-0-any", "setns(2)", "DESCRIPTION")
def test_type_0_takes_whatever_the_descriptor_is(home_and_away):
    """setns() with type 0 joins the namespace behind the descriptor, of whatever type that is."""

    def life(home: int, _away: int) -> bool:
        setns(home, 0)
        return os.readlink(f"/proc/self/fd/{home}") == where()

    assert home_and_away(life)


@clause("setns.only-the-calling-thread", "setns(2)", "DESCRIPTION")
def test_the_other_threads_do_not_come_along(home_and_away):
    """setns() moves the calling thread and no other thread of its process."""

    def life(home: int, away: int) -> tuple[bool, bool]:
        def move() -> str:
            setns(home, CLONE_NEWIPC)
            return where()

        moved = in_a_thread(move)
        return moved == os.readlink(f"/proc/self/fd/{home}"), where() == os.readlink(f"/proc/self/fd/{away}")

    assert home_and_away(life) == (True, True)


@clause("setns.nstype-mismatch-einval", "setns(2)", "ERRORS", errno=EINVAL)
def test_a_descriptor_of_another_type(home_and_away):
    """setns() fails when the namespace behind the descriptor is of another type than was named, and the caller stays."""

    def life(home: int, away: int) -> bool:
        with fails_with(EINVAL):
            setns(home, CLONE_NEWUTS)
        return where() == os.readlink(f"/proc/self/fd/{away}")

    assert home_and_away(life)


@clause("setns.ebadf", "setns(2)", "ERRORS", errno=EBADF)
def test_a_descriptor_that_is_not_open(home_and_away):
    """setns() with a descriptor that is not open fails."""

    def life(home: int, _away: int) -> None:
        os.close(home)
        with fails_with(EBADF):
            setns(home, CLONE_NEWIPC)

    home_and_away(life)


@clause("setns.no-namespace-einval", "setns(2)", "ERRORS", errno=EINVAL)
def test_a_descriptor_of_no_namespace(home_and_away):
    """setns() with a descriptor that refers to no namespace fails."""

    def life(_home: int, _away: int) -> None:
        with open("/dev/null") as file, fails_with(EINVAL):
            setns(file.fileno(), CLONE_NEWIPC)

    home_and_away(life)


@clause("setns.ipc-eperm", "setns(2)", "ERRORS", errno=EPERM)
def test_joining_needs_a_privilege(unprivileged):
    """setns() to an IPC namespace fails without CAP_SYS_ADMIN, even to the one that the caller is in."""

    def life() -> None:
        with fails_with(EPERM):
            setns(here, CLONE_NEWIPC)

    here = opened()
    try:
        unprivileged(life)
    finally:
        os.close(here)


@clause("setns.userns-own-einval", "setns(2)", "ERRORS", errno=EINVAL, since="3.8")
def test_nobody_joins_the_user_namespace_he_is_in(in_a_child):
    """setns() to the user namespace that the caller is in fails, so that capabilities once dropped stay so."""

    def life() -> None:
        here = opened("user")
        with fails_with(EINVAL):
            setns(here, CLONE_NEWUSER)

    in_a_child(life)


@clause("setns.pidfd-joins", "setns(2)", "fd is a PID file descriptor", since="5.8")
def test_a_process_descriptor_leads_to_its_namespace(elsewhere, in_a_child):
    """setns() with a descriptor of a process joins the namespaces of that process that the flags name, all at once."""
    actor = elsewhere()
    there = os.readlink(f"/proc/{actor.pid}/ns/ipc")
    same_user = os.readlink(f"/proc/{actor.pid}/ns/user") == where("user")

    def life() -> str:
        process = pidfd_open(actor.pid)
        setns(process, CLONE_NEWIPC if same_user else CLONE_NEWIPC | CLONE_NEWUSER)
        return where()

    assert in_a_child(life) == there != where()


@clause("setns.pidfd-nstype-0-einval", "setns(2)", "ERRORS", errno=EINVAL, since="5.8")
def test_a_process_descriptor_needs_a_type(in_a_child):
    """setns() with a descriptor of a process fails with type 0."""

    def life() -> None:
        process = pidfd_open(os.getpid())
        with fails_with(EINVAL):
            setns(process, 0)

    in_a_child(life)


@clause("setns.pidfd-dead-esrch", "setns(2)", "ERRORS", errno=ESRCH, since="5.8")
def test_the_descriptor_of_a_process_that_is_gone(in_a_child):
    """setns() with the descriptor of a process that has ended and was waited for fails."""

    def life() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        process = pidfd_open(child)
        os.waitpid(child, 0)
        with fails_with(ESRCH):
            setns(process, CLONE_NEWIPC)

    in_a_child(life)


@clause("setns.userns-gives-capabilities", "setns(2)", "User namespaces", since="3.8")
def test_joining_a_user_namespace_gives_its_capabilities(in_a_child, fork):
    """A process that joins a user namespace has every capability in it: it may then join the IPC namespace that this owns."""

    def life() -> tuple[bool, bool]:
        def make() -> None:
            try:
                unshare(CLONE_NEWUSER | CLONE_NEWIPC)
            except OSError as error:
                untested(f"needs user namespaces: {error.strerror}")
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

    assert in_a_child(life) == (True, True)
