"""The common part of the three System V mechanisms (sysvipc(7)): constants, permissions, keys."""

from __future__ import annotations

from ctypes import Structure, c_char_p, c_int
from dataclasses import dataclass
from typing import Any, Self

from ..unpatched import os
from .descriptor import path_bytes
from .libc import function

__all__ = [
    "IPC_CREAT",
    "IPC_EXCL",
    "IPC_INFO",
    "IPC_NOWAIT",
    "IPC_PRIVATE",
    "IPC_RMID",
    "IPC_SET",
    "IPC_STAT",
    "IpcPerm",
    "ftok",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

IPC_PRIVATE = 0
IPC_CREAT = 0o1000
IPC_EXCL = 0o2000
IPC_NOWAIT = 0o4000
IPC_RMID = 0
IPC_SET = 1
IPC_STAT = 2
IPC_INFO = 3


@dataclass(frozen=True, slots=True)
class IpcPerm:
    """struct ipc_perm (sysvipc(7)): key, owner, creator, mode bits and sequence number of a System V object."""

    key: int
    uid: int
    gid: int
    cuid: int
    cgid: int
    mode: int
    seq: int

    @classmethod
    def read(cls, perm: Structure) -> Self:
        """Return the values of the C structure."""
        fields: Any = perm
        return cls(*(int(getattr(fields, name)) for name in cls.__slots__))


_ftok = function("ftok", c_int, c_char_p, c_int)


def ftok(path: str | os.PathLike[str], proj_id: int) -> int:
    """Return a key made of the file at *path* and the low 8 bits of *proj_id* (ftok(3)). OSError as for stat(2)."""
    key: int = _ftok(path_bytes(path), proj_id)
    return key
