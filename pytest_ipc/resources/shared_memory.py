"""POSIX shared memory as objects: create under an unused name, map, resize, remove.

multiprocessing.shared_memory is not used: its resource tracker removes an object with the first process that opened it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..custody.kinds.file import Found
from ..custody.ledger import Record, intent
from ..kernel.files import shm_open, shm_unlink
from ..kernel.memory import MAP_SHARED, PROT_READ, PROT_WRITE
from ..printable import plain
from ..resource import Handle, WithDescriptor, check_mode, closed_when_dropped
from ..unpatched import fcntl, os
from .handed import not_found
from .mapping import Mapping, note_source
from .names import DIRECTORY, check_name, shared_memory_directory, unlink_name, unused_name
from .space import allocate, resize

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["SharedMemory"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_MOST = (1 << 63) - 1  # off_t
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


class SharedMemory(WithDescriptor):
    """A POSIX shared memory object (shm_open(3)) with the name `name`, removed when its block or scope ends."""

    def __init__(
        self,
        name: str,
        fd: int,
        status: os.stat_result,
        *,
        record: Record | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.name = name
        self._fd = fd
        self._record = record  # None for an object of another owner, which is used and never removed
        self._identity = _identity(status)
        self._directory = shared_memory_directory() if record else None
        self.mappings: list[Mapping] = []
        super().__init__(scope)

    @classmethod
    def create(
        cls,
        size: int = 4096,
        *,
        name: str | None = None,
        flags: int = NEW,
        mode: int = 0o600,
        allocated: bool = True,
        scope: Scope | None = None,
    ) -> Self:
        """Create or open an object of *size* zero bytes (shm_open(3)). Without a *name* it gets an unused one.

        An object opened without O_EXCL is used as it is and never removed, as it belongs to another owner. The memory
        is allocated unless *allocated* is false, so that a full /dev/shm raises ENOSPC here instead of a SIGBUS at a
        later store. Raises ValueError or TypeError for an invalid size, name, mode or flags; OSError.
        """
        _check_size(size)
        check_mode(mode)
        if flags & os.O_CREAT and flags & os.O_ACCMODE != os.O_RDWR:
            raise ValueError(f"flags with O_CREAT must contain O_RDWR, to set the size, not {flags:#o}")
        if name is not None:
            return cls._open(check_name(name, "shared memory"), size, flags, mode, allocated, scope)
        while True:
            try:
                return cls._open(unused_name(), size, flags | NEW, mode, allocated, scope)
            except FileExistsError:
                continue  # the name is taken; another random one costs less than a check

    @classmethod
    def _open(cls, name: str, size: int, flags: int, mode: int, allocated: bool, scope: Scope | None) -> Self:
        if flags & os.O_CREAT:
            # Always exclusive, so that the creator, who may remove the object, is certain.
            try:
                with intent("posix-shm", name=name) as record:
                    fd = _shm_open(name, flags | os.O_EXCL, mode)
                    found = Found.of(fd)
                    record.made(**found.identity())
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
            else:
                made = cls(name, fd, found.status, record=record, scope=scope)
                try:
                    made._set_size(0, size, allocated)
                except BaseException:
                    made.close()
                    raise
                return made
        fd = _shm_open(name, flags & ~os.O_CREAT & ~os.O_EXCL, 0)
        return cls(name, fd, os.fstat(fd), scope=scope)

    def __repr__(self) -> str:
        return plain(f"<SharedMemory {self.name}>")

    def _handle(self) -> Handle:
        access = fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & os.O_ACCMODE
        return self._handed, (self.name, access, self._identity)

    @classmethod
    def _handed(cls, name: str, access: int, identity: tuple[int, int]) -> Self:
        """Open the object in the process that it was passed to. Raises OSError."""
        try:
            fd = _shm_open(name, access, 0)
            made = closed_when_dropped(cls(name, fd, os.fstat(fd)))
        except FileNotFoundError:
            raise not_found(f"<SharedMemory {name}>") from None
        if made._identity != identity:  # noqa: SLF001 - of this class
            raise not_found(made)
        return made

    def fileno(self) -> int:
        """Return the descriptor. ValueError once it is closed, by close() or close_fd()."""
        fd = super().fileno()
        if not self._fd_open:
            raise ValueError(f"the descriptor of {self!r} is closed")
        return fd

    def descriptors(self) -> list[int]:
        """Return the descriptor, while it is open."""
        return super().descriptors() if self._fd_open else []

    @property
    def size(self) -> int:
        """The current size of the object in bytes. Raises OSError."""
        return self.stat().st_size

    def stat(self) -> os.stat_result:
        """Return size, mode, owner and times of the object (fstat(2)). Raises OSError."""
        return os.fstat(self.fd)

    def resize(self, size: int, *, allocated: bool = True) -> None:
        """Change the size of the object (ftruncate(2)).

        New bytes are zero, and allocated if *allocated*. Mappings keep their length; an access beyond the end of the
        object is a SIGBUS. Raises OSError.
        """
        _check_size(size)
        self._set_size(self.size, size, allocated)

    def _set_size(self, before: int, size: int, allocated: bool) -> None:
        if allocated and size > before:
            try:
                allocate(self.fd, before, size, f"shared memory {self.name}")
            except BaseException:
                resize(self.fd, before)
                raise
        elif size != before:
            resize(self.fd, size)

    def map(
        self, size: int | None = None, *, prot: int = PROT_READ | PROT_WRITE, flags: int = MAP_SHARED, offset: int = 0
    ) -> Mapping:
        """Map *size* bytes from *offset*, or all bytes from there, into this process (mmap(2)). Raises OSError."""
        length = self.size - offset if size is None else size
        mapping = Mapping.of(
            self.fd, length, prot=prot, flags=flags, offset=offset, name=f"shared memory {self.name}", scope=self._scope
        )
        note_source(mapping, self, flags, offset)
        self.mappings.append(mapping)
        return mapping

    def exists(self) -> bool:
        """Return whether the name still refers to this object."""
        try:
            return _identity(os.lstat(DIRECTORY + self.name)) == self._identity
        except FileNotFoundError:
            return False

    def unlink(self) -> bool:
        """Remove the name (shm_unlink(3)); return whether this call did. The object stays for processes that have it.

        Harmless if the name was removed before, or if another object has it. Raises OSError for other failures.
        """
        return unlink_name(self, self.exists, self._unlink, self._record, self._out_of_sight)

    def _unlink(self) -> None:
        try:
            shm_unlink(self.name)
        except OSError as error:
            error.add_note(plain(f"`rm {DIRECTORY}{self.name}` as its owner removes it by hand"))
            raise

    def _out_of_sight(self) -> str:
        return "" if shared_memory_directory() == self._directory is not None else f"another {DIRECTORY}"

    def close_fd(self) -> None:
        """Close the descriptor (close(2)); mappings stay. Harmless if closed. A forked child closes its own copy."""
        self._close_fd()

    def _end(self) -> None:
        unlink = [] if self._record is None else [self.unlink]
        finish(*(mapping.close for mapping in reversed(self.mappings)), self.close_fd, *unlink)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _check_size(size: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"the size of shared memory must be an integer number of bytes, not {size!r}")
    if not 0 <= size <= _MOST:
        raise ValueError(f"the size of shared memory must be from 0 to {_MOST} bytes (off_t), not {size}")


def _shm_open(name: str, flags: int, mode: int) -> int:
    try:
        return shm_open(name, flags, mode)
    except OSError as error:
        error.add_note(plain(f"while opening shared memory {name} with flags {flags:#o}"))
        raise
