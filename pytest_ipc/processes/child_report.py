"""The report of a forked child: what its function returned or raised, written to a memory file before it ends.

The child is a copy of the parent, so a class that existed before the fork exists on both sides at one address, whether
or not pickle can find it by name: classes defined in a test function travel, and so do pytest's own outcome exceptions,
which name a module they are not in. What cannot travel at all is replaced by its text, never lost.
"""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..custody.private_folder import Identity, identity_of, same_file
from ..unpatched import io, os

__all__ = ["RemoteError"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# The first byte of a report says how far the child has come; what follows is complete only after the second.
_STARTED, _COMPLETE = b"S", b"C"


class RemoteError(Exception):
    """Stands for a child's exception, or result, that cannot be sent to the parent."""


def unchanged(error: BaseException) -> BaseException:
    """Return *error*: what `translate` is where nobody has set it."""
    return error


# What becomes of an exception in the child before it is sent, where the child still knows more of it than the parent
# can.
translate: Callable[[BaseException], BaseException] = unchanged


@dataclass(frozen=True)
class Report:
    """A child's report: `outcome` is "returned", "raised", or None when the child ended without one.

    Its last kernel calls.
    """

    outcome: str | None = None
    value: Any = None
    error: BaseException | None = None
    traceback: str = ""
    calls: Sequence[str] = ()


def started(fd: int) -> bool:
    """Whether the child has begun to run its function."""
    return os.pread(fd, 1, 0) != b""


def prepare(fd: int) -> None:
    """In the child: take *fd* as the report of this process, and no longer that of the process it was forked from."""
    global _report
    _report = identity_of(os.fstat(fd))


def run(fd: int, task: Callable[[], Any], calls: Sequence[str]) -> int:
    """In the child: run *task* and write to *fd* what became of it. The exit status that the child should leave with.

    *calls* are, when the task is done, its last kernel calls: they go along.
    """
    os.write(fd, _STARTED)
    try:
        value = task()
    except SystemExit as error:
        # To leave with a status is not to fail: the parent finds the status, and must not be made to leave itself.
        return exit_status(error)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:  # noqa: BLE001 - pytest's outcomes are no Exceptions; all of them go to the parent
        send_error(fd, error, calls)
        return 1
    try:
        payload = _dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever a __reduce__ raises
        send_error(fd, RemoteError(f"the result {_repr(value)} cannot be sent to the parent: {error}"), calls)
        return 1
    _write(fd, "returned", payload, f"the result {_repr(value)}", "", calls)
    return 0


def exit_status(error: SystemExit) -> int:
    """Return the status that the interpreter would leave with, and print what it would print (sys.exit)."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def send_error(fd: int, error: BaseException, calls: Sequence[str]) -> None:
    """In the child: write *error* and its traceback to *fd*, as text if it cannot be sent."""
    error = translate(error)
    text = "".join(traceback.format_exception(type(error), error, _own_frames(error.__traceback__)))
    try:
        payload = _dumps(error)
    except Exception:  # noqa: BLE001 - whatever a __reduce__ raises
        payload = b""
    _write(fd, "raised", payload, "".join(traceback.format_exception_only(error)).strip(), text, calls)


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """The traceback from the function that the child was given on: the frames before it are this package's."""
    frame = tb
    while frame is not None and os.path.dirname(frame.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
        frame = frame.tb_next
    return frame or tb


def read(fd: int) -> Report:
    """In the parent, after the child's end: its report."""
    data = _content(fd)
    if data[:1] != _COMPLETE:
        return Report()  # it ended before it reported, or was killed while it did
    outcome, payload, text, trace, calls = pickle.loads(data[1:])
    try:
        value = _loads(payload)
    except Exception as error:  # noqa: BLE001 - many go out and do not come back: their __init__ wants other arguments
        if outcome == "raised":
            return Report("raised", None, RemoteError(text), trace, calls)
        return Report("raised", None, RemoteError(f"{text} cannot be read by the parent: {error}"), trace, calls)
    if outcome == "returned":
        return Report("returned", value, calls=calls)
    raised = value if isinstance(value, BaseException) else RemoteError(text)
    return Report("raised", None, raised, trace, calls)


def _content(fd: int) -> bytes:
    size, content = os.fstat(fd).st_size, b""
    while part := os.pread(fd, size, len(content)):
        content += part  # one read gives 2 GiB at most
    return content


# What the report is, once the child's function may have closed its descriptor.
_report: Identity | None = None


def _write(fd: int, *report: object) -> None:
    if _report is not None and not same_file(fd, _report):
        # The number may be another file's by now. The parent holds a descriptor of the report, too.
        try:
            fd = os.open(f"/proc/{os.getppid()}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        if not same_file(fd, _report):
            os.close(fd)
            return
    os.lseek(fd, 1, os.SEEK_SET)
    rest = memoryview(pickle.dumps(report))
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.pwrite(fd, _COMPLETE, 0)


def _repr(value: object) -> str:
    try:
        return f"{value!r:.200}"
    except Exception as error:  # noqa: BLE001 - a repr of somebody else's
        return f"<{type(value).__name__} whose repr fails: {error}>"


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> tuple[str, int] | None:
        if isinstance(obj, type):
            found: Any = sys.modules.get(obj.__module__)
            try:
                for part in obj.__qualname__.split("."):
                    found = getattr(found, part, None)
            except Exception:  # noqa: BLE001 - a module's __getattr__ may warn, and a warning be an error
                found = None
            if found is not obj:
                return (obj.__qualname__, id(obj))
        return None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> type:
        name, address = pid
        # By address: a class may warn when it is compared or hashed, as the stdlib's deprecated ones do, or fail.
        seen: set[int] = set()
        todo: list[Any] = [object]
        while todo:
            for cls in type.__subclasses__(todo.pop()):
                if id(cls) == address and cls.__qualname__ == name:
                    return cls
                if id(cls) not in seen:
                    seen.add(id(cls))
                    todo.append(cls)
        raise pickle.UnpicklingError(f"the class {name} was made after the fork")


def _dumps(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


def _loads(data: bytes) -> Any:
    return _Unpickler(io.BytesIO(data)).load()
