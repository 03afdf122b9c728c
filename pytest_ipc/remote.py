"""What a forked child tells its parent: what its function returned or raised, written to a memory file before it ends.

The child is a copy of the parent, so a class that existed before the fork exists on both sides at one address, whether or not
pickle can find it by name: classes defined in a test function travel, and so do pytest's own outcome exceptions, which name
a module they are not in. What cannot travel at all is replaced by its text, never lost.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

__all__ = ["RemoteError"]

_STARTED = b"S"


class RemoteError(Exception):
    """Stands for a child's exception, or result, that cannot be sent to the parent."""


@dataclass(frozen=True)
class Report:
    """A child's report: `outcome` is "returned", "raised", or None when the child ended without one."""

    outcome: str | None = None
    value: Any = None
    error: BaseException | None = None
    traceback: str = ""


def started(fd: int) -> bool:
    """Whether the child has begun to run its function."""
    return os.pread(fd, 1, 0) == _STARTED


def run(fd: int, task: Callable[[], Any]) -> int:
    """In the child: run *task* and write to *fd* what became of it. The exit status that the child should leave with."""
    os.write(fd, _STARTED)
    try:
        value = task()
    except SystemExit as error:
        # To leave with a status is not to fail: the parent finds the status, and must not be made to leave itself.
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:  # noqa: BLE001 - pytest's outcomes are no Exceptions; all of them go to the parent
        send_error(fd, error)
        return 1
    try:
        payload = _dumps(("returned", value, None, ""))
    except Exception as error:  # noqa: BLE001 - whatever a __reduce__ raises
        send_error(fd, RemoteError(f"the result {value!r:.200} cannot be sent to the parent: {error}"))
        return 1
    _write(fd, payload)
    return 0


def send_error(fd: int, error: BaseException) -> None:
    """In the child: write *error* and its traceback to *fd*, as text if it cannot be sent."""
    text = "".join(traceback.format_exception(type(error), error, _own_frames(error.__traceback__)))
    try:
        payload = _dumps(("raised", None, error, text))
        _loads(payload)  # many exceptions go out and do not come back: their __init__ wants other arguments
    except Exception:  # noqa: BLE001 - whatever a __reduce__ or __init__ raises
        message = "".join(traceback.format_exception_only(error)).strip()
        payload = _dumps(("raised", None, RemoteError(message), text))
    _write(fd, payload)


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback from the function that the child was given on: the frames before it are this package's."""
    frame = tb
    while frame is not None and os.path.dirname(frame.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
        frame = frame.tb_next
    return frame or tb


def read(fd: int) -> Report:
    """In the parent, after the child's end: its report."""
    data = os.pread(fd, os.fstat(fd).st_size, 0)[len(_STARTED) :]
    try:
        return Report(*_loads(data))
    except EOFError:
        return Report()  # it ended before it reported, or was killed while it did
    except pickle.UnpicklingError as error:
        return Report("raised", error=RemoteError(f"the child's report cannot be read: {error}"))


def _write(fd: int, payload: bytes) -> None:
    while payload:
        payload = payload[os.write(fd, payload) :]


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> tuple[str, int] | None:
        if isinstance(obj, type):
            found: Any = sys.modules.get(obj.__module__)
            for part in obj.__qualname__.split("."):
                found = getattr(found, part, None)
            if found is not obj:
                return (obj.__qualname__, id(obj))
        return None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> type:
        name, address = pid
        seen, todo = set(), [object]
        while todo:
            for cls in type.__subclasses__(todo.pop()):
                if id(cls) == address and cls.__qualname__ == name:
                    return cls
                if cls not in seen:
                    seen.add(cls)
                    todo.append(cls)
        raise pickle.UnpicklingError(f"the class {name} was made after the fork")


def _dumps(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


def _loads(data: bytes) -> Any:
    return _Unpickler(io.BytesIO(data)).load()
