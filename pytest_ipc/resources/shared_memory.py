"""POSIX shared memory as objects: create under an unused name, map, resize, remove.

Not by multiprocessing.shared_memory, whose resource tracker removes an object with the first process that has seen it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..custody.kinds.file import Found
from ..custody.ledger import Record, intent
from ..kernel.files import shm_open, shm_unlink
from ..kernel.memory import MAP_SHARED, PROT_READ, PROT_WRITE
from ..printable import plain
from ..resource import WithDescriptor, check_mode
from ..unpatched import os
from .mapping import Mapping
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

    def __init__(self, name: str, fd: int, *, record: Record | None = None, scope: Scope | None = None) -> None:
        self.name = name
        self._fd = fd
        self._record = record  # None for an object that somebody else made: that one is used and never removed
        self._identity = _identity(os.fstat(fd))
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
        """shm_open(3): an object of *size* zeros. With no *name*, a new one that is in nobody's use.

        Flags without O_EXCL may find an object that exists: then it is used as it is, but never removed, for it is
        somebody's. The memory is really there, unless *allocated* is false: where /dev/shm is too small for it that is
        ENOSPC here, and not a SIGBUS at some later store. ValueError or TypeError for a size, name, mode or flags that
        no object can have; OSError with the call's errno.
        """
        _check_size(size)
        check_mode(mode)
        if flags & os.O_CREAT and flags & os.O_ACCMODE != os.O_RDWR:
            raise ValueError("new shared memory is given its size, and so O_CREAT needs O_RDWR")
        if name is not None:
            return cls._open(check_name(name, "shared memory"), size, flags, mode, allocated, scope)
        while True:
            try:
                return cls._open(unused_name(), size, flags | NEW, mode, allocated, scope)
            except FileExistsError:
                continue  # somebody has that name; to draw again costs less than asking first

    @classmethod
    def _open(cls, name: str, size: int, flags: int, mode: int, allocated: bool, scope: Scope | None) -> Self:
        if flags & os.O_CREAT:
            # Always exclusive, so that it is certain who made the object and therefore who may remove it.
            try:
                with intent("posix-shm", name=name) as record:
                    fd = _shm_open(name, flags | os.O_EXCL, mode)
                    record.made(**Found.of(fd).identity())
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
            else:
                made = cls(name, fd, record=record, scope=scope)
                try:
                    made.resize(size, allocated=allocated)
                except BaseException:
                    made.close()
                    raise
                return made
        return cls(name, _shm_open(name, flags & ~os.O_CREAT & ~os.O_EXCL, 0), scope=scope)

    def __repr__(self) -> str:
        return plain(f"<SharedMemory {self.name}>")

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
        """How many bytes the object has now. OSError."""
        return self.stat().st_size

    def stat(self) -> os.stat_result:
        """fstat(2): size, mode, owner and times of the object. OSError."""
        return os.fstat(self.fd)

    def resize(self, size: int, *, allocated: bool = True) -> None:
        """ftruncate(2): give the object another size.

        What is gained reads as zeros, and is really there if *allocated*. OSError.

        Mappings stay as long as they were made. One that is longer than the object by now is a SIGBUS beyond the
        object's end.
        """
        _check_size(size)
        before = self.size
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
        """mmap(2): map *size* bytes from *offset* on into this process, or all that there are from there. OSError."""
        length = self.size - offset if size is None else size
        mapping = Mapping.of(
            self.fd, length, prot=prot, flags=flags, offset=offset, name=f"shared memory {self.name}", scope=self._scope
        )
        self.mappings.append(mapping)
        return mapping

    def exists(self) -> bool:
        """Whether the name still stands for this object."""
        try:
            return _identity(os.lstat(DIRECTORY + self.name)) == self._identity
        except FileNotFoundError:
            return False

    def unlink(self) -> bool:
        """shm_unlink(3): remove the name; the object lives on for those who have it. Whether this call was the one.

        Harmless when the name was removed before, by this object or by anybody else, and when another object has it
        now. OSError for any other failure.
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
        """close(2): mappings stay. Harmless when it is closed. A forked child closes its own copy."""
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
