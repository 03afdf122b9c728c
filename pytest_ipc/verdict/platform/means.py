"""The calls that fixtures need: they create, inspect, change and remove objects, and identify processes.

A clause about semop(2) reads values by semctl(2). If the platform refuses that call, nothing is known about semop(2):
the clause is untested, because its means are refused. A clause about the refused call itself has its verdict. Each
means is tried once, in a child; a test that fails with the same error lacks the means, and the suite has no bug.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from errno import EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC, ENOSYS
from functools import cache

from ...kernel.errnos import errno_name
from ...kernel.ipc import IPC_PRIVATE
from ...kernel.msg import msgctl_rmid, msgctl_set, msgctl_stat, msgget
from ...kernel.namespace import CLONE_NEWIPC, CLONE_NEWUSER, map_user, unshare
from ...kernel.pidfd import pidfd_open, pidfd_send_signal
from ...kernel.posix_mq import mq_open, mq_unlink
from ...kernel.process import PR_SET_DUMPABLE, prctl
from ...kernel.sem import semctl_getall, semctl_rmid, semctl_set, semctl_stat, semget
from ...kernel.shm import shmat, shmctl_rmid, shmctl_stat, shmdt, shmget
from ...processes.trial import trial

__all__ = ["PROC", "Lack", "Means", "failed_call", "lacking", "lacking_for"]


@dataclass(frozen=True)
class Means:
    """A call that fixtures make: `label` for people, `call` as in errors."""

    label: str
    call: str
    fixtures: str
    use: Callable[[], object]
    asked_by: str = ""  # a method of the fixture's objects, whose result is wrong without the call


@dataclass(frozen=True)
class Lack:
    """A means that the platform refuses, and its errno."""

    means: Means
    errno: int

    def __str__(self) -> str:
        return f"needs {self.means.label}, which {self.means.fixtures} uses: {os.strerror(self.errno)}"


def _segment(use: Callable[[int], object]) -> Callable[[], object]:
    return _made(lambda: shmget(IPC_PRIVATE, 1, 0o600), use, shmctl_rmid)


def _set(use: Callable[[int], object]) -> Callable[[], object]:
    return _made(lambda: semget(IPC_PRIVATE, 1, 0o600), use, semctl_rmid)


def _queue(use: Callable[[int], object]) -> Callable[[], object]:
    return _made(lambda: msgget(IPC_PRIVATE, 0o600), use, msgctl_rmid)


def _made(
    make: Callable[[], int], use: Callable[[int], object], remove: Callable[[int], object]
) -> Callable[[], object]:
    def life() -> None:
        _go_apart()
        id = make()
        try:
            use(id)
        finally:
            remove(id)

    return life


def _go_apart() -> None:
    """Enter a new IPC namespace, if permitted: its objects are removed with the child, even if that is killed."""
    uid, gid = os.geteuid(), os.getegid()
    with suppress(OSError):  # not permitted without a user namespace
        unshare(CLONE_NEWIPC)
        return
    with suppress(OSError):  # not permitted: the objects are removed by the call itself
        unshare(CLONE_NEWIPC | CLONE_NEWUSER)
        prctl(PR_SET_DUMPABLE, 1)  # as a process that has changed its user may not write its own maps
        # A user without a number there can own no objects: calls that need an owner would fail.
        map_user(uid, gid, uid, gid)


def _mq() -> None:
    _go_apart()
    name = f"/pytest-ipc-{os.getpid()}-trial"
    mq_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    mq_unlink(name)


def _nothing(_id: int) -> None:
    """Do nothing with the object: creation and removal are tried."""


PROC = Means("/proc mounted", "/proc", "every fixture", lambda: os.stat("/proc/self/stat"))

_MEANS = (
    PROC,
    Means("shmget(2)", "shmget", "sysv_shm", _segment(_nothing)),
    Means("shmat(2)", "shmat", "sysv_shm", _segment(shmat)),
    Means("shmdt(2)", "shmdt", "sysv_shm", _segment(lambda segment: shmdt(shmat(segment)))),
    Means("shmctl(2) with IPC_STAT", "shmctl", "sysv_shm", _segment(shmctl_stat), ".exists()"),
    Means("semget(2)", "semget", "sysv_sem", _set(_nothing)),
    Means("semctl(2) with IPC_STAT", "semctl", "sysv_sem", _set(semctl_stat), ".exists()"),
    Means("semctl(2) with IPC_SET", "semctl", "sysv_sem", _set(lambda semid: semctl_set(semid, mode=0o600))),
    Means("semctl(2) with GETALL", "semctl", "sysv_sem", _set(semctl_getall)),
    Means("msgget(2)", "msgget", "sysv_msg", _queue(_nothing)),
    Means("msgctl(2) with IPC_STAT", "msgctl", "sysv_msg", _queue(msgctl_stat), ".exists()"),
    Means("msgctl(2) with IPC_SET", "msgctl", "sysv_msg", _queue(lambda msqid: msgctl_set(msqid, mode=0o600))),
    Means("pidfd_send_signal(2)", "pidfd_send_signal", "fork", lambda: pidfd_send_signal(pidfd_open(os.getpid()), 0)),
    Means("mq_open(3)", "mq_open", "posix_mq", _mq),
)


# A missing call is absent, and a shortage of space is temporary: neither is a refusal.
_NO_REFUSALS = {None, ENOSYS, EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC}


@cache
def lacking() -> tuple[Lack, ...]:
    """Return the means that this platform refuses, each call once."""
    found: dict[str, Lack] = {}
    for means in _MEANS:
        try:
            refused = trial(means.use)
        except OSError:  # no child can be created: the clauses will report it
            break
        if refused is not None and refused.errno not in _NO_REFUSALS:
            found.setdefault(means.call, Lack(means, refused.errno or 0))
    return tuple(found.values())


def failed_call(error: BaseException | None) -> tuple[str, int] | None:
    """Return name and errno of the failed call, if *error* is of a call of this package; else None."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    call, colon, _ = str(error.strerror).partition(": ")
    return (call, error.errno) if colon and call.isidentifier() else None


def lacking_for(error: BaseException | None, phase: str | None, page: str, *, is_setting_up: bool) -> Lack | None:
    """Return the refused means that caused *error* in a test of a clause of the manual *page*, else None.

    *is_setting_up*: a fixture could not create an object for the test.
    """
    if phase == "teardown" and lacking():  # an object could not be removed, with any error
        return lacking()[0]
    others = [lack for lack in lacking() if page.partition("(")[0] != lack.means.call]
    if expected := getattr(error, "expected", ""):  # a Deviation
        failed = failed_call(error.__cause__ if error is not None else None)
        for lack in others:
            if failed == (lack.means.call, lack.errno) or (lack.means.asked_by and lack.means.asked_by in expected):
                return lack
        return None
    failed = failed_call(error)
    if failed is None:
        return None
    call, errno = failed
    for lack in lacking():
        if lack.means.call != call:
            continue
        if page.partition("(")[0] != call:  # a later error, whatever it is
            return lack
        if lack.errno == errno and (phase == "setup" or is_setting_up):
            return lack
    return None


def describe() -> str:
    """Return the missing means and the way out, in one line; empty if none is missing."""
    parts = [
        f"{lack.means.label}: {errno_name(lack.errno)} ({lack.means.fixtures}; "
        f"{'mount -t proc none /proc' if lack.means is PROC else 'a seccomp filter that allows it'} would change that)"
        for lack in lacking()
    ]
    return ", ".join(parts)
