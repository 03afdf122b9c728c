"""Removal of objects in another IPC namespace.

A namespace without a process is gone with its objects. (A namespace held by a descriptor alone, as by the fixture
`ipc_namespace`, goes with its holder.) For an existing one, a forked child enters it by setns(2), entering the user
namespace of one of its processes first if that differs, and finds, verifies and removes the object there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, EIO, ESRCH
from typing import Any

from ..kernel.bare_fork import fork
from ..unpatched import json, os, select, signal
from .namespaces import ipc_namespace, is_behind, process_in

__all__ = ["in_namespace"]

PATIENCE_MS = 5000  # for a task of about a millisecond


def in_namespace(name: str, task: Callable[[], list[str]], *, below: bool = False) -> list[str]:
    """Return the result of *task* run in the IPC namespace *name*; [] if that is gone.

    Raises OSError if this process may not enter it.
    """
    while (pid := process_in(name, below=below)) is not None:
        try:
            return _in_namespace_of(pid, name, task)
        except ProcessLookupError:
            continue  # it has ended or moved meanwhile: try the next one
    return []


def _in_namespace_of(pid: int, name: str, task: Callable[[], list[str]]) -> list[str]:
    read, write = os.pipe()
    child = fork()
    if child == 0:
        answer: dict[str, Any] = {}
        try:
            answer = {"done": _go_and_do(pid, name, task)}
        except OSError as error:
            answer = {"errno": error.errno or EIO, "text": error.strerror or str(error)}
        except BaseException as error:  # noqa: BLE001 - the boundary: nothing may unwind into the caller's frames
            answer = {"errno": EIO, "text": repr(error)}
        finally:
            with suppress(BaseException):
                os.write(write, json.dumps(answer).encode())
            os._exit(0)
    os.close(write)
    text = _answer(read)
    os.close(read)
    if text is None:  # it still holds the pipe, so it is alive and its pid is valid
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):  # where SIGCHLD is ignored
        os.waitpid(child, 0)
    answer = json.loads(text or '{"errno": 5, "text": "the child in the namespace sent no answer"}')
    if "done" not in answer:
        raise OSError(answer["errno"], answer["text"])
    return list(answer["done"])


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


def _answer(read: int) -> bytes | None:
    """Read until end of file; return None after PATIENCE_MS without data."""
    answer = b""
    poll = select.poll()
    poll.register(read, select.POLLIN)
    while poll.poll(PATIENCE_MS):
        part = os.read(read, 65536)
        if not part:
            return answer
        answer += part
    return None
