"""System V shared memory segments as objects: create, attach, remove."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from errno import EINVAL, ENOSPC
from mmap import PAGESIZE
from typing import TYPE_CHECKING, Self

from ..custody.cleanup import finish
from ..custody.ledger import Record
from ..kernel.ipc import IPC_CREAT, IPC_EXCL, IPC_PRIVATE
from ..kernel.shm import (
    SHM_EXEC,
    SHM_RDONLY,
    ShmidDs,
    shmat,
    shmctl,
    shmctl_rmid,
    shmctl_set,
    shmctl_stat,
    shmdt,
    shmget,
)
from ..resource import Handle, Resource, check_size
from ..unpatched import io, os
from .limit_notes import note_limits
from .sysv import SysvObject, SysvType

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Attachment", "Segment"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class Segment(SysvObject):
    """A System V shared memory segment, removed when its block or scope ends (shmget(2), shmctl(2)).

    `id` is its identifier, `key` the key for other processes, `size` the requested size in bytes.
    """

    _type = SysvType("sysv-shm", "-m", shmctl_stat, shmctl_set, shmctl_rmid, has_cpid=True)

    def __init__(
        self, id: int, key: int, size: int, *, record: Record | None = None, scope: Scope | None = None
    ) -> None:
        self.size = size
        self.attachments: list[Attachment] = []
        super().__init__(id, key, record=record, scope=scope)

    @classmethod
    def create(
        cls,
        size: int | None = None,
        *,
        key: int | None = None,
        flags: int = IPC_CREAT | IPC_EXCL,
        mode: int = 0o600,
        scope: Scope | None = None,
    ) -> Self:
        """Create or find a segment of *size* bytes (shmget(2)).

        Without a *key* it gets an unused one; IPC_PRIVATE works too. Without a *size* a new segment has 4096 bytes, an
        existing one may have any size. A segment found without IPC_EXCL is used but never removed, as it belongs to
        another owner. Raises ValueError or TypeError for an invalid size, key or mode; OSError.
        """
        new = 4096 if size is None else check_size(size, "a segment")

        def get(key: int, flags: int) -> int:
            makes = key == IPC_PRIVATE or flags & IPC_CREAT
            return _shmget(key, new if makes or size is not None else 0, flags)

        id, key, record = cls._obtain(key, flags, mode, get, size=new)
        return cls(id, key, new if record else shmctl_stat(id).segsz, record=record, scope=scope)

    def __repr__(self) -> str:
        return f"<Segment id={self.id} key={self.key:#x} size={self.size}>"

    def _handle(self) -> Handle:
        opening, arguments = super()._handle()
        return opening, (*arguments, self.size)

    def attach(self, address: int | None = None, flags: int = 0) -> Attachment:
        """Map the segment into this process, at *address* or where the kernel chooses (shmat(2)). Raises OSError."""
        self._usable()
        attachment = Attachment(shmat(self.id, address, flags), self, flags, self._scope)
        self.attachments.append(attachment)
        return attachment

    def stat(self) -> ShmidDs:
        """Return the kernel's data of the segment (shmctl(2), IPC_STAT). Raises OSError."""
        self._usable()
        return shmctl_stat(self.id)

    def control(self, cmd: int) -> int:
        """Call shmctl(2) with a command without a buffer, such as SHM_LOCK and SHM_UNLOCK. Raises OSError."""
        self._usable()
        return shmctl(self.id, cmd)

    def _end(self) -> None:
        finish(*(attachment.close for attachment in reversed(self.attachments)), super()._end)


def _shmget(key: int, size: int, flags: int) -> int:
    try:
        return shmget(key, size, flags)
    except OSError as error:
        error.add_note(f"while making a System V segment with key {key:#x} of {size} bytes, flags {flags:#o}")
        if error.errno == EINVAL:
            note_limits(error, "kernel.shmmax")
        elif error.errno == ENOSPC:
            note_limits(error, "kernel.shmmni", "kernel.shmall")
            error.add_note("`ipcs -m` lists the segments of this IPC namespace")
        raise


class Attachment(Resource):
    """A segment mapped into this process (shmop(2)): `address`, and `buf`, a memoryview of the segment's bytes.

    Slices of `buf` must not be used after detach(): the memory is unmapped then, and an access is a SIGSEGV.
    """

    def __init__(self, address: int, segment: Segment, flags: int = 0, scope: Scope | None = None) -> None:
        self.address = address
        self.segment = segment
        view = memoryview((ctypes.c_ubyte * segment.size).from_address(address)).cast("B")
        self._buf = view.toreadonly() if flags & SHM_RDONLY else view
        self._flags = flags
        self._attached: bool | None = True
        super().__init__(scope)

    def __repr__(self) -> str:
        return f"<Attachment of {self.segment!r} at {self.address:#x}>"

    def _handle(self) -> Handle:
        return _attached, (self.segment, self._flags & (SHM_RDONLY | SHM_EXEC))

    @property
    def buf(self) -> memoryview:
        """The segment's bytes, writable unless it was attached with SHM_RDONLY. ValueError after detach()."""
        self._usable()
        return self._buf

    @property
    def mapped(self) -> int:
        """The number of mapped bytes: the segment's size rounded up to whole pages."""
        return -(-self.segment.size // PAGESIZE) * PAGESIZE

    def detach(self) -> None:
        """Unmap the segment (shmdt(2)). A forked child that inherited it detaches its own copy.

        Raises ValueError if it is detached.
        """
        self._usable()
        if os.getpid() == self._maker:
            self.close()
        else:
            self._closed = True
            self._end()

    def _end(self) -> None:
        with suppress(BufferError):  # an exported buffer; like a slice, the test must not use it
            self._buf.release()
        if self in self.segment.attachments:
            self.segment.attachments.remove(self)
        # After an interrupt it may have been detached, and its address may have been reused.
        if self._attached or (self._attached is None and self._is_attached()):
            self._attached = None
            shmdt(self.address)
        self._attached = False

    def _is_attached(self) -> bool:
        """Return whether the segment is mapped at the address: /proc/self/maps shows its id as the inode number."""
        with io.open("/proc/self/maps") as rows:
            fields = (row.split(maxsplit=5) for row in rows)
            return any(
                int(field[0].partition("-")[0], 16) == self.address and int(field[4]) == self.segment.id
                for field in fields
            )


def _attached(segment: Segment, flags: int) -> Attachment:
    """Return the segment attached in the process that an attachment was passed to, at an address of its own."""
    return segment.attach(None, flags)
