"""Threads that wait for work in a pool that a library keeps: they are not leaks of the test that needed them first."""

from __future__ import annotations

import sys
from types import FrameType

from .kept import is_kept_executor

__all__ = ["executor_of", "is_idle_in_pool"]

# Module and function in which a worker waits for work. Those of executors are kept only if the executor is.
_WAITING = {
    ("trio._core._thread_cache", "_work"),
    ("anyio._backends._asyncio", "run"),
}
_EXECUTOR = ("concurrent.futures.thread", "_worker")
_QUEUES = {"queue", "threading"}


def is_idle_in_pool(native_id: int) -> bool:
    """Return whether a thread waits for work in a pool that is kept for the whole process."""
    place = _place(native_id)
    if place is None or _key(place) in _WAITING:
        return place is not None
    executor = executor_of(native_id)
    return executor is not None and is_kept_executor(executor)


def executor_of(native_id: int) -> object | None:
    """Return the executor of concurrent.futures that a thread waits for work of."""
    place = _place(native_id)
    if place is None or _key(place) != _EXECUTOR:
        return None
    found: object | None = place.f_locals["executor_reference"]()
    return found


def _key(frame: FrameType) -> tuple[str, str]:
    return frame.f_globals.get("__name__", ""), frame.f_code.co_name


def _place(native_id: int) -> FrameType | None:
    """Return the frame in which a thread waits, without those of queues and locks."""
    threading = sys.modules.get("threading")
    for thread in threading.enumerate() if threading is not None else ():
        if thread.native_id == native_id:
            frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - documented
            while frame is not None and frame.f_globals.get("__name__") in _QUEUES:
                frame = frame.f_back
            return frame
    return None
