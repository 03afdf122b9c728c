"""Mappings as objects: a range of this process's memory, backed by a file or anonymous (mmap(2)).

The stdlib's mmap hides its address and duplicates its descriptor; a test of shared memory needs both.
"""

from __future__ import annotations

import ctypes
from contextlib import ExitStack, suppress
from mmap import PAGESIZE
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from ..custody.cleanup import failures_ignored, finish
from ..custody.private_folder import Identity
from ..kernel.memory import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    MS_SYNC,
    PROT_READ,
    PROT_WRITE,
    madvise,
    mmap,
    mprotect,
    msync,
    munmap,
)
from ..kernel.recorded import os
from ..printable import plain
from ..resource import Handle, Resource, check_mode, check_size
from .file import OwnedFile, owned_identity
from .handed import is_at, not_found
from .space import allocate

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Mapping"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Mappable(Protocol):
    """An object that can be mapped in another process that it is passed to."""

    def map(self, size: int, *, prot: int, flags: int, offset: int) -> Mapping:
        """Map *size* bytes from *offset* (mmap(2))."""
        ...


class Mapping(Resource):
    """Memory mapped into this process (mmap(2)): `address`, `size` in bytes, and the memoryview `buf`.

    `path` and `fd` are those of the file created for it, None for other mappings. Slices of `buf` must not be used
    after unmap(): the memory is unmapped then, and an access is a SIGSEGV.
    """

    def __init__(
        self,
        address: int,
        size: int,
        prot: int,
        *,
        name: str = "memory",
        fd: int | None = None,
        file: OwnedFile | None = None,
        scope: Scope | None = None,
    ) -> None:
        self.address = address
        self.size = size
        self._prot = prot
        self._name = name
        self._fd = fd
        self._fd_open = fd is not None
        self._mapped = True
        self._file = file
        self._at: tuple[str, Identity] | None = None if file is None else (file.path, owned_identity(file))
        self._source: tuple[Mappable, int, int] | None = None  # the object that it maps, flags, offset
        self._is_shared = True
        self._view = memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")
        super().__init__(scope)

    @classmethod
    def create(
        cls,
        size: int = 4096,
        *,
        shared: bool = True,
        path: str | os.PathLike[str] | None = None,
        mode: int = 0o600,
        scope: Scope | None = None,
    ) -> Self:
        """Create a file of *size* zero bytes and map it for reading and writing (mmap(2)); MAP_PRIVATE unless *shared*.

        The file is created at *path*, which must not exist, or in a private directory, and removed with the mapping.
        Its space is allocated, so that a store cannot fail. Raises ValueError or TypeError for an invalid size, path or
        mode; OSError.
        """
        check_size(size, "a mapping")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        check_mode(mode)
        fd = -1
        with ExitStack() as undo:

            def make(place: str) -> None:
                nonlocal fd
                fd = os.open(place, flags, mode)
                undo.callback(os.close, fd)

            file = OwnedFile.create("mapped-file", "mapped file", make, path)
            undo.callback(file.close)
            allocate(fd, 0, size, file.path)
            address = mmap(None, size, PROT_READ | PROT_WRITE, MAP_SHARED if shared else MAP_PRIVATE, fd)
            undo.pop_all()
        made = cls(address, size, PROT_READ | PROT_WRITE, name=file.path, fd=fd, file=file, scope=scope)
        made._is_shared = shared
        return made

    @classmethod
    def of(
        cls,
        fd: int | None,
        size: int,
        *,
        prot: int = PROT_READ | PROT_WRITE,
        flags: int = MAP_SHARED,
        offset: int = 0,
        address: int | None = None,
        name: str | None = None,
        scope: Scope | None = None,
    ) -> Self:
        """Map *size* bytes from *offset* of the file *fd*, or anonymous memory if that is None (mmap(2)). OSError."""
        check_size(size, "a mapping")
        if fd is None:
            place = mmap(address, size, prot, flags | MAP_ANONYMOUS, -1, offset)
        else:
            place = mmap(address, size, prot, flags, fd, offset)
        return cls(place, size, prot, name=name or ("memory" if fd is None else f"descriptor {fd}"), scope=scope)

    def __repr__(self) -> str:
        return plain(f"<Mapping of {self._name}, {self.size} bytes at {self.address:#x}>")

    def _handle(self) -> Handle:
        if not self._is_shared:
            raise TypeError(f"{self!r} cannot be passed to another process: changes of a MAP_PRIVATE mapping stay here")
        if self._at is not None:
            return self._handed, (*self._at, self.size, self._prot)
        if self._source is None:
            raise TypeError(
                f"{self!r} cannot be passed to another process: it is shared with forked children only; pass the "
                "object that it maps, or create it with mapped_file or posix_shm"
            )
        source, flags, offset = self._source
        return _mapped, (source, self.size, self._prot, flags, offset)

    @classmethod
    def _handed(cls, path: str, identity: Identity, size: int, prot: int) -> Self:
        """Map the file in the process that the mapping was passed to. Raises OSError."""
        if not is_at(path, identity):
            raise not_found(f"<Mapping of {path}>")
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            address = mmap(None, size, prot, MAP_SHARED, fd)
        except BaseException:
            os.close(fd)
            raise
        made = cls(address, size, prot, name=path, fd=fd)
        made._at = (path, identity)
        return made

    @property
    def buf(self) -> memoryview:
        """The bytes, writable if the mapping is. ValueError after unmap()."""
        self._usable()
        return self._view if self._prot & PROT_WRITE else self._view.toreadonly()

    @property
    def mapped(self) -> int:
        """The number of mapped bytes: the size rounded up to whole pages."""
        return -(-self.size // PAGESIZE) * PAGESIZE

    @property
    def path(self) -> Path | None:
        """The path of the file that was created for the mapping."""
        return None if self._at is None else Path(self._at[0])

    @property
    def fd(self) -> int | None:
        """The descriptor of that file, open for reading and writing. ValueError after close()."""
        self._usable()
        return self._fd

    def descriptors(self) -> list[int]:
        """Return the file's descriptor, while it is open."""
        return [] if self._closed or self._fd is None else [self._fd]

    def msync(self, flags: int = MS_SYNC, offset: int = 0, length: int | None = None) -> None:
        """Write stored data to the file: all, or *length* bytes from *offset*, a multiple of the page size (msync(2)).

        Raises OSError.
        """
        self._usable()
        start, count = self._range(offset, length)
        msync(start, count, flags)

    def protect(self, prot: int) -> None:
        """Change the protection of the memory (mprotect(2)). Raises OSError (EACCES beyond the descriptor's mode)."""
        self._usable()
        mprotect(self.address, self.mapped, prot)
        self._prot = prot

    def advise(self, advice: int, offset: int = 0, length: int | None = None) -> None:
        """Advise the kernel on the use of the memory: all, or *length* bytes from *offset* (madvise(2)).

        *offset* must be a multiple of the page size. Raises OSError.
        """
        self._usable()
        start, count = self._range(offset, length)
        madvise(start, count, advice)

    def _range(self, offset: int, length: int | None) -> tuple[int, int]:
        # The kernel would also affect the adjacent memory of others.
        count = self.size - offset if length is None else length
        if offset < 0 or count < 0 or offset + count > self.mapped:
            raise ValueError(f"offset and length must be within {self!r}, not {count} bytes from {offset}")
        return self.address + offset, count

    def unmap(self) -> None:
        """Unmap the memory (munmap(2)), and close and remove the file that was created for it.

        Raises ValueError if it is unmapped. A forked child that inherited the mapping only unmaps its own copy.
        """
        self._usable()
        if os.getpid() == self._maker:
            self.close()
        else:
            self._closed = True
            self._unmap()

    def _unmap(self) -> None:
        with suppress(BufferError):  # an exported buffer; like a slice, the test must not use it
            self._view.release()
        if self._mapped:
            self._mapped = False
            munmap(self.address, self.size)

    def __del__(self) -> None:
        if self._at is not None and self._file is None:  # passed to this process: nobody else closes it
            with failures_ignored:  # closed by the code under test
                self._close_fd()

    def _close_fd(self) -> None:
        if self._fd is not None and self._fd_open:
            self._fd_open = False
            os.close(self._fd)

    def all_descriptors(self) -> list[int]:
        """Return its descriptors and those by which its file is recognised."""
        return [*self.descriptors(), *(self._file.descriptors() if self._file is not None else ())]

    def _end(self) -> None:
        finish(self._unmap, self._close_fd, *([] if self._file is None else [self._file.close]))


def note_source(mapping: Mapping, source: Mappable, flags: int, offset: int) -> None:
    """Note that *mapping* is of *source*, from *offset* with *flags*, so that another process can map it too."""
    mapping._source, mapping._is_shared = (source, flags, offset), bool(flags & MAP_SHARED)  # noqa: SLF001 - of this module


def _mapped(source: Mappable, size: int, prot: int, flags: int, offset: int) -> Mapping:
    """Map *source* in the process that a mapping of it was passed to, at an address of its own."""
    return source.map(size, prot=prot, flags=flags & ~MAP_FIXED, offset=offset)
