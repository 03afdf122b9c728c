"""What Python's audit events show: who maps shared memory, who is about to be killed with it, who starts a thread.

The kernel does not record who has used a name in /dev/shm, and neither who has closed it nor who has been killed can be
asked. Forked children inherit the hook, also those of multiprocessing; other programs do not. It lasts as long as the
process, as there is no way to remove one, so only a leak check adds it.
"""

from __future__ import annotations

import sys
from _thread import get_native_id
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from ..custody.cleanup import failures_ignored
from ..custody.descendants import Row, below
from ..unpatched import os, signal
from . import history

__all__ = ["starter_of", "user_of", "watch"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_SLOTS = 4096
_KILLING = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGABRT}


class _Seen:
    device = -1  # of /dev/shm
    # In shared memory: inode number and process id, in the slot of the number's remainder. A later one replaces it.
    mapped: memoryview | None = None
    starters: ClassVar[WeakKeyDictionary[Any, int]] = WeakKeyDictionary()  # thread ids of who started these threads


def watch() -> None:
    """Add the hook to this process, once."""
    if _Seen.mapped is None:
        import mmap

        try:
            _Seen.device = os.stat("/dev/shm").st_dev
        except OSError:
            return  # there is no shared memory of POSIX here
        _Seen.mapped = memoryview(mmap.mmap(-1, 16 * _SLOTS)).cast("Q")
        sys.addaudithook(_on_event)


def user_of(file: history.FileId) -> int | None:
    """Return the id of the process of this run that was seen to map this file in /dev/shm last."""
    device, inode = file
    slot = inode % _SLOTS * 2
    if _Seen.mapped is None or device != _Seen.device or _Seen.mapped[slot] != inode:
        return None
    return _Seen.mapped[slot + 1]


def starter_of(thread: int) -> int | None:
    """Return the id of the thread that has started this thread of Python; None if unknown, as on Python 3.11."""
    return next((id for found, id in list(_Seen.starters.items()) if found.native_id == thread), None)


def _on_thread(function: Any, *_arguments: Any) -> None:
    thread = getattr(function, "__self__", None)
    if hasattr(thread, "native_id"):  # threading.Thread
        _Seen.starters[thread] = get_native_id()


def _on_mmap(fd: int, *_arguments: int) -> None:
    if fd < 0 or _Seen.mapped is None:
        return
    status = os.fstat(fd)
    if status.st_dev == _Seen.device:
        slot = status.st_ino % _SLOTS * 2
        _Seen.mapped[slot] = 0  # at no time an inode with another's process
        _Seen.mapped[slot + 1] = os.getpid()
        _Seen.mapped[slot] = status.st_ino


def _on_kill(pid: int, signo: int) -> None:
    if signo in _KILLING and pid > 0:
        _note_files(lambda row: row.pid == pid)


def _on_killpg(group: int, signo: int) -> None:
    if signo in _KILLING:
        _note_files(lambda row: row.pgrp == group)


def _note_files(is_killed: Callable[[Row], bool]) -> None:
    """Note the files of the processes below the one that runs tests that are about to be killed."""
    if history.is_recorder():
        for row in list(below(os.getpid())):
            if is_killed(row) and row.pid not in history.dying:
                history.note_files(row.pid)


_WATCHED: dict[str, Callable[..., None]] = {
    "mmap.__new__": _on_mmap,
    "os.kill": _on_kill,
    "os.killpg": _on_killpg,
    "_thread.start_new_thread": _on_thread,
    "_thread.start_joinable_thread": _on_thread,
}


def _on_event(
    event: str,
    arguments: tuple[Any, ...],
    watched: dict[str, Callable[..., None]] = _WATCHED,  # as this module has no variables when the interpreter ends
    is_ending: Callable[[], bool] = sys.is_finalizing,
) -> None:
    if event in watched and not is_ending():
        with failures_ignored:  # an exception would become that of the audited call
            watched[event](*arguments)
