"""The report of a forked child: the result or exception of its function, written to a memory file before it ends.

The child is a copy of the parent, so a class from before the fork has the same address in both, even if pickle cannot
find it by name: classes defined in a test function can be sent, and pytest's outcome exceptions, whose `__module__` is
wrong. An object that cannot be sent is replaced by its text.
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

# The values of the first byte of a report: the function has started; the rest of the report is complete.
_STARTED, _COMPLETE = b"S", b"C"


class RemoteError(Exception):
    """The replacement of a child's exception, or result, that cannot be sent to the parent."""


class UnsendableResult(RemoteError):
    """The function returned a value that cannot be pickled; that is a failure only if the parent asks for it."""


def unchanged(error: BaseException) -> BaseException:
    """Return *error*: the default of `translate`."""
    return error


# Converts an exception in the child before it is sent, while the child still has details that the parent will lack.
translate: Callable[[BaseException], BaseException] = unchanged


@dataclass(frozen=True)
class Report:
    """A child's report: `outcome` is "returned", "raised", or None if there is no report; `calls` its last calls."""

    outcome: str | None = None
    value: Any = None
    error: BaseException | None = None
    traceback: str = ""
    calls: Sequence[str] = ()


def started(fd: int) -> bool:
    """Return whether the child has started its function."""
    return os.pread(fd, 1, 0) != b""


def prepare(fd: int) -> None:
    """Make *fd*, in the child, the report of this process, instead of that of its parent."""
    global _report
    _report = identity_of(os.fstat(fd))


def run(fd: int, task: Callable[[], Any], calls: Sequence[str]) -> int:
    """Run *task* in the child, write its outcome to *fd* and return the exit status for the child.

    When *task* is done, *calls* holds its last kernel calls, which are part of the report.
    """
    os.write(fd, _STARTED)
    try:
        value = task()
    except SystemExit as error:
        # An exit is not a failure: the parent gets the status, and must not exit itself.
        return exit_status(error)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:  # noqa: BLE001 - pytest's outcomes are BaseExceptions; the parent gets all of them
        send_error(fd, error, calls)
        return 1
    try:
        payload = _dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever a __reduce__ raises
        send_error(fd, UnsendableResult(f"the result {_repr(value)} cannot be sent to the parent: {error}"), calls)
        return 1
    _write(fd, "returned", payload, f"the result {_repr(value)}", "", calls)
    return 0


def exit_status(error: SystemExit) -> int:
    """Return the interpreter's exit status for *error*, and print its message as the interpreter does (sys.exit)."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def send_error(fd: int, error: BaseException, calls: Sequence[str]) -> None:
    """Write *error* and its traceback to *fd*, in the child; as text if it cannot be sent."""
    error = translate(error)
    text = "".join(traceback.format_exception(type(error), error, _own_frames(error.__traceback__)))
    try:
        payload = _dumps(error)
    except Exception:  # noqa: BLE001 - whatever a __reduce__ raises
        payload = b""
    _write(fd, "raised", payload, "".join(traceback.format_exception_only(error)).strip(), text, calls)


def _own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the child's function on, without the frames of this package before it."""
    frame = tb
    while frame is not None and os.path.dirname(frame.tb_frame.f_code.co_filename) == os.path.dirname(__file__):
        frame = frame.tb_next
    return frame or tb


def read(fd: int) -> Report:
    """Return the report of a child that has ended, in the parent."""
    data = _content(fd)
    if data[:1] != _COMPLETE:
        return Report()  # it ended before its report was complete
    outcome, payload, text, trace, calls = pickle.loads(data[1:])
    try:
        value = _loads(payload)
    except Exception as error:  # noqa: BLE001 - many are pickled but not unpickled: __init__ takes other arguments
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
        content += part  # one read returns 2 GiB at most
    return content


# The identity of the report, whose descriptor the child's function may have closed.
_report: Identity | None = None


def _write(fd: int, *report: object) -> None:
    if _report is not None and not same_file(fd, _report):
        # The number may refer to another file by now. The parent also holds a descriptor of the report.
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
    except Exception as error:  # noqa: BLE001 - a foreign repr
        return f"<{type(value).__name__} whose repr fails: {error}>"


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> tuple[str, int] | None:
        if isinstance(obj, type):
            found: Any = sys.modules.get(obj.__module__)
            try:
                for part in obj.__qualname__.split("."):
                    found = getattr(found, part, None)
            except Exception:  # noqa: BLE001 - a module's __getattr__ may warn, and warnings may be errors
                found = None
            if found is not obj:
                return (obj.__qualname__, id(obj))
        return None


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> type:
        name, address = pid
        # By address: a class may warn or fail in comparisons and hashes, as deprecated classes of the stdlib do.
        seen: set[int] = set()
        todo: list[Any] = [object]
        while todo:
            for cls in type.__subclasses__(todo.pop()):
                if id(cls) == address and cls.__qualname__ == name:
                    return cls
                if id(cls) not in seen:
                    seen.add(id(cls))
                    todo.append(cls)
        raise pickle.UnpicklingError(f"the class {name} was created after the fork")


def _dumps(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


def _loads(data: bytes) -> Any:
    return _Unpickler(io.BytesIO(data)).load()
