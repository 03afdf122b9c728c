"""Names, keys and paths that are on record before the code under test creates the objects.

What has the name, key or path at the end is removed, whoever created it: a program, its child, a daemon. That holds
when pytest is killed too.
"""

from __future__ import annotations

from errno import EEXIST
from typing import TYPE_CHECKING

from ..custody.cleanup import out_of_sight
from ..custody.kinds import KINDS, Entry
from ..custody.ledger import intent
from ..custody.namespaces import ipc_identity, is_here
from ..custody.status import holder_of
from ..resource import Resource
from ..unpatched import os
from .file import OwnedFile
from .keys import check_key, unused_key
from .names import DIRECTORY, bytes_of, check_name, shared_memory_directory, unused_name

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["ReservedKey", "ReservedName", "ReservedPath"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_NAME_MAX = 251  # bytes after the slash: a semaphore's file has "sem." before them


class _Reserved(Resource):
    """The objects that have a reserved name or key, whoever created them."""

    def __init__(self, kind: str, value: str | int, scope: Scope | None, *, chosen: bool) -> None:
        detail = "name" if isinstance(value, str) else "key"
        self._kind = KINDS[kind]
        self._directory = shared_memory_directory()
        self._record = intent(kind, **{detail: value}, ipc=ipc_identity())
        # There is none now, so that any that is found later was made under the reservation: at any time.
        self._entry = Entry(0, kind, {**self._record.details, "at": 0})
        try:
            if self._kind.find(self._entry) is not None:
                raise FileExistsError(EEXIST, f"{value!r} cannot be reserved, because an object has it")
            if chosen:
                holders, one = holder_of(kind, detail, value)
                if holders > 1:
                    raise FileExistsError(EEXIST, f"{value!r} is reserved already, by {one}")
        except BaseException:
            self._record.closed()
            raise
        super().__init__(scope)

    def _end(self) -> None:
        """Remove the objects. Raises OSError; the record stays open then."""
        if not self._record.is_open:
            return
        if not is_here(self._record.details["ipc"]):
            raise out_of_sight(self, f"the IPC namespace {self._record.details['ipc']}")
        if "name" in self._record.details and shared_memory_directory() != self._directory:
            raise out_of_sight(self, f"another {DIRECTORY}")
        while (found := self._kind.find(self._entry)) is not None:
            self._kind.remove(self._entry, found)
        self._record.closed()


class ReservedName(_Reserved):
    """A reserved name of POSIX shared memory, semaphores and message queues: `name`."""

    def __init__(self, name: str | None = None, *, scope: Scope | None = None) -> None:
        self.name: str = unused_name() if name is None else check_name(name, "a POSIX object", _NAME_MAX)
        super().__init__("reserved-name", self.name, scope, chosen=name is not None)

    def __repr__(self) -> str:
        return f"<ReservedName {self.name}>"


class ReservedKey(_Reserved):
    """A reserved key of System V segments, semaphore sets and message queues: `key`."""

    def __init__(self, key: int | None = None, *, scope: Scope | None = None) -> None:
        self.key: int = unused_key() if key is None else check_key(key)
        if self.key == 0:
            raise ValueError("key must not be IPC_PRIVATE (0), which gives a new object to each caller")
        super().__init__("reserved-key", self.key, scope, chosen=key is not None)

    def __repr__(self) -> str:
        return f"<ReservedKey {self.key:#x}>"


class ReservedPath(Resource):
    """A reserved path, in a private directory that is removed with all its contents: `path`."""

    def __init__(self, name: str = "reserved", *, scope: Scope | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name must be a string like 'server.sock', not {name!r}")
        if (size := bytes_of(name, "name")) > 255:
            raise ValueError(f"name must be at most 255 bytes (NAME_MAX), not {size}")
        if not name or "/" in name or "\0" in name or name in (".", "..", "reserved-path"):
            raise ValueError(f"name must be a file name without a slash, not {name!r}")
        self._file = OwnedFile.create("reserved-path", "mark of a reserved path", _mark)
        self.path: str = os.path.join(os.path.dirname(self._file.path), name)
        super().__init__(scope)

    def __repr__(self) -> str:
        return f"<ReservedPath {self.path}>"

    def all_descriptors(self) -> list[int]:
        """Return the descriptors by which the directory is recognised."""
        return self._file.descriptors()

    def _end(self) -> None:
        self._file.close()


def _mark(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
