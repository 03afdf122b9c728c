"""Run a task in a forked child and return its result: what the task changes, the child changes for itself alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import EIO
from typing import Any, NoReturn

from ..kernel.bare_fork import fork
from ..unpatched import json, os, select, signal

__all__ = ["NoAnswer", "run_in_child"]

PATIENCE = 60.0  # seconds


class NoAnswer(OSError):
    """The task raised something else than an OSError with an errno, or the child sent no result; the errno is EIO."""


def run_in_child(task: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return the result of *task*, which JSON must be able to represent, from a forked child.

    OSError: that of *task*, of fork(2), or NoAnswer, also if the child is silent for *patience* seconds and is killed.
    """
    read, write = os.pipe()
    try:
        child = fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    if child == 0:
        _answer(task, write)
    os.close(write)
    try:
        text = _read_all(read, patience)
        if text is None:  # it still holds the pipe, so it is alive and its pid is valid
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(read)
        with suppress(ChildProcessError):  # where SIGCHLD is ignored
            os.waitpid(child, 0)
    if text is None:
        raise NoAnswer(EIO, f"waited {patience:g} s for the result of a child")
    answer = json.loads(text or '{"failed": "a child ended without a result"}')
    if "failed" in answer:
        raise NoAnswer(EIO, answer["failed"])
    if "errno" in answer:
        raise OSError(answer["errno"], answer["text"])
    return answer["result"]


def _answer(task: Callable[[], Any], write: int) -> NoReturn:
    """Run the task in the child, write its result or its error, and exit."""
    answer: dict[str, Any] = {}
    try:
        answer = {"result": task()}
    except BaseException as error:  # noqa: BLE001 - the boundary: nothing may unwind into the caller's frames
        if isinstance(error, OSError) and error.errno:
            answer = {"errno": error.errno, "text": error.strerror}
        else:
            answer = {"failed": str(error) if isinstance(error, OSError) else repr(error)}
    finally:
        with suppress(BaseException):  # the parent then reads the end of the pipe
            os.write(write, json.dumps(answer).encode())
        os._exit(0)


def _read_all(read: int, patience: float) -> bytes | None:
    """Read until end of file; return None after *patience* seconds without data."""
    answer = b""
    poll = select.poll()
    poll.register(read, select.POLLIN)
    while poll.poll(patience * 1000):
        part = os.read(read, 65536)
        if not part:
            return answer
        answer += part
    return None
