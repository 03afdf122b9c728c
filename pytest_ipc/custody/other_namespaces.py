"""Removal of objects in another IPC namespace.

A namespace without a process is gone with its objects. (A namespace held by a descriptor alone, as by the fixture
`ipc_namespace`, ends with its holder.) For an existing one, a forked child enters it by setns(2), entering the user
namespace of one of its processes first if that differs, and finds, verifies and removes the object there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, ESRCH
from functools import partial

from ..unpatched import os
from .namespaces import ipc_namespace, is_behind, process_in
from .run_in_child import run_in_child

__all__ = ["in_namespace"]

PATIENCE = 5.0  # seconds, for a task of about a millisecond


def in_namespace(name: str, task: Callable[[], list[str]], *, below: bool = False) -> list[str]:
    """Return the result of *task* run in the IPC namespace *name*; [] if that is gone.

    Raises OSError if this process may not enter it.
    """
    while (pid := process_in(name, below=below)) is not None:
        try:
            return list(run_in_child(partial(_go_and_do, pid, name, task), PATIENCE))
        except ProcessLookupError:
            continue  # it has ended or moved meanwhile: try the next one
    return []


def _go_and_do(pid: int, name: str, task: Callable[[], list[str]]) -> list[str]:
    from ..kernel.namespace import CLONE_NEWIPC, CLONE_NEWUSER, setns

    try:
        there = os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProcessLookupError(ESRCH, "the process in it has ended") from None
    if not is_behind(there, name):
        raise ProcessLookupError(ESRCH, "the process in it has moved")
    with suppress(FileNotFoundError):  # a kernel without user namespaces
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        if not os.path.samestat(os.fstat(user), os.stat("/proc/self/ns/user")):
            setns(user, CLONE_NEWUSER)
    setns(there, CLONE_NEWIPC)
    if ipc_namespace() != name.partition("#")[0]:
        raise OSError(EACCES, "it cannot be entered")
    return task()
