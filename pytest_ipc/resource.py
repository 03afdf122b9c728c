"""The base class of resources: created in one process, released once, owned by at most one scope."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, ParamSpec, Self, TypeAlias, TypeVar

from .custody.cleanup import failures_ignored, raise_together
from .kernel import recorded
from .kernel.waiting import DEFAULT_TIMEOUT
from .printable import plain
from .unpatched import os

if TYPE_CHECKING:
    from .custody.scope import Scope

__all__ = ["DEFAULT", "Resource", "Timeout"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# The note that distinguishes a failure to create a fixture's object from a failed call under test.
COULD_NOT_MAKE = "so the object that was asked for could not be made"


Given = ParamSpec("Given")
Made = TypeVar("Made")

# How pickle makes an object in the process that it is passed to: a function and its arguments.
Handle: TypeAlias = tuple[Callable[..., object], tuple[Any, ...]]


class _Default(Enum):
    """The time limit that is configured: ipc_timeout, in seconds."""

    DEFAULT = "ipc_timeout"

    def __repr__(self) -> str:
        return "DEFAULT"


# The timeout of every call that can block, unless it is given another.
DEFAULT: Final = _Default.DEFAULT
# Seconds, None to wait for ever, or DEFAULT.
Timeout: TypeAlias = float | _Default | None

_default_timeout: float = DEFAULT_TIMEOUT


def default_timeout() -> float:
    """Return the value of DEFAULT in seconds."""
    return _default_timeout


def set_default_timeout(seconds: float) -> None:
    """Set the value of DEFAULT in seconds, in this process and in the children forked from now on."""
    global _default_timeout
    _default_timeout = seconds


class Resource:
    """An IPC object that this process created and must release; a context manager.

    An object with a key, name or path can be pickled, as an argument of a process of multiprocessing: it is opened
    there, and stays its owner's, who alone removes it.
    """

    # The reason of the TypeError if an object of this class is pickled, with the way out.
    _stays: ClassVar[str] = "it exists in this process and in children forked from it only"

    def __init__(self, scope: Scope | None = None) -> None:
        self._maker = os.getpid()
        self._closed = False
        self._ended = False
        self._scope = scope
        if scope is not None:
            scope.own(self, self._maker)

    @property
    def closed(self) -> bool:
        """Whether this object has been closed and can no longer be used."""
        return self._closed

    def close(self) -> None:
        """Release the object. Harmless when repeated, and in a forked child of the process that created it.

        It can be called again after a failure or interrupt: the object stays on record until it is gone.
        """
        if self._ended or os.getpid() != self._maker:
            return
        self._closed = True
        self._end()
        self._ended = True
        if self._scope is not None:
            self._scope.forget(self)

    def _end(self) -> None:
        """Release the object in the process that created it.

        It may be called again after an exception, so each step must skip what is done. A step that must not run twice,
        such as close(2) or munmap(2), whose number or address may be reused, clears its state first.
        """
        raise NotImplementedError

    def descriptors(self) -> list[int]:
        """Return the descriptors of the object, which a forked child needs."""
        return []

    def all_descriptors(self) -> list[int]:
        """Return every descriptor that this object holds, including those that a forked child does not need."""
        return self.descriptors()

    def _usable(self) -> None:
        if self._closed:
            raise ValueError(f"{self!r} is closed")

    def __reduce__(self) -> Handle:
        self._usable()
        return self._handle()

    def _handle(self) -> Handle:
        """Return what opens the object in another process, for pickle. Raises TypeError if that is impossible."""
        raise TypeError(f"{self!r} cannot be passed to another process: {self._stays}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class WithDescriptor(Resource):
    """A resource with one descriptor, which it holds while it is open."""

    _fd: int
    _fd_open = True
    _dropping = False  # opened from a handle: nobody else closes it

    def __del__(self) -> None:
        if self._dropping:
            with failures_ignored:  # closed by the code under test
                self._close_fd()

    def fileno(self) -> int:
        """Return the descriptor. Raises ValueError once closed, as the number may be reused."""
        self._usable()
        return self._fd

    @property
    def fd(self) -> int:
        """The descriptor, as returned by fileno()."""
        return self.fileno()

    def descriptors(self) -> list[int]:
        """Return the descriptor, while it is open."""
        return [] if self._closed else [self._fd]

    def _close_fd(self) -> None:
        """Close the descriptor, at most once."""
        if self._fd_open:
            self._fd_open = False
            recorded.os.close(self._fd)


Opened = TypeVar("Opened", bound=WithDescriptor)


def closed_when_dropped(opened: Opened) -> Opened:
    """Have the descriptor of *opened* closed with the last reference to it, as it has no owner here; return it."""
    opened._dropping = True  # noqa: SLF001 - of this module
    return opened


def close_all(fds: list[int]) -> None:
    """Close each of *fds* at most once, and empty the list."""
    failures: list[BaseException] = []
    while fds:
        try:
            os.close(fds.pop())
        except OSError as failure:
            failures.append(failure)
    if failures:
        raise_together(failures, "descriptors could not be closed")


def check_mode(mode: int) -> int:
    """Return *mode* if it has only the nine permission bits. Raises TypeError or ValueError."""
    if isinstance(mode, bool) or not isinstance(mode, int):
        raise TypeError(f"mode must be an integer of permission bits like 0o600, not {mode!r}")
    if not 0 <= mode <= 0o777:
        raise ValueError(f"mode must be between 0 and 0o777, not {mode:#o}")
    return mode


def check_size(size: int, what: str) -> int:
    """Return *size* if it is a positive number of bytes. Raises TypeError or ValueError."""
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"the size of {what} must be an integer number of bytes, not {size!r}")
    if size < 1:
        raise ValueError(f"the size of {what} must be at least 1 byte, not {size}")
    return size


def check_timeout(timeout: Timeout) -> float | None:
    """Return the timeout in seconds; None, to wait without limit, if *timeout* is None or infinite."""
    if timeout is None:
        return None
    if timeout is DEFAULT:
        return _default_timeout
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if math.isnan(timeout) or timeout < 0:
        raise ValueError(f"timeout must be a non-negative number of seconds or None, not {timeout!r}")
    return None if math.isinf(timeout) else timeout


def timed_out(timeout: float | None, what: str, state: Callable[[], str] = str) -> TimeoutError:
    """Return the error of a wait of *timeout* seconds for *what*; *state* says what the kernel reports instead."""
    try:
        reported = state()
    except (OSError, ValueError):  # the object is gone, or there is no /proc
        reported = ""
    return TimeoutError(f"waited {timeout or 0:g} s for {plain(what)}{'; ' if reported else ''}{reported}")


def created(create: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs) -> Made:
    """Return create(…); the OSError of a failure says that it was the object that could not be made."""
    __tracebackhide__ = True
    try:
        return create(*args, **kwargs)
    except OSError as error:
        error.add_note(COULD_NOT_MAKE)
        raise
