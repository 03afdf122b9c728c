"""System V message queues: msgget(2), msgop(2), msgctl(2).

The calls take no timeout: a blocked call ends with a message, with space in the queue, with the queue's removal or by a
signal.
"""

from __future__ import annotations

import struct
from ctypes import addressof, c_char, c_int, c_long, c_size_t, c_ssize_t, c_void_p
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import abi
from .ipc import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, IpcPerm
from .libc import LONG, SIZE, UINT, ULONG, USHORT, check_address, check_integer, function

__all__ = [
    "MSG_COPY",
    "MSG_EXCEPT",
    "MSG_INFO",
    "MSG_NOERROR",
    "MSG_STAT",
    "MSG_STAT_ANY",
    "MsgInfo",
    "MsgLimits",
    "Msgbuf",
    "MsqidDs",
    "msgctl",
    "msgctl_info",
    "msgctl_limits",
    "msgctl_rmid",
    "msgctl_set",
    "msgctl_stat",
    "msgget",
    "msgrcv",
    "msgrcv_raw",
    "msgsnd",
    "msgsnd_raw",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

MSG_NOERROR = 0o10000
MSG_EXCEPT = 0o20000
MSG_COPY = 0o40000

MSG_STAT = 11
MSG_INFO = 12
MSG_STAT_ANY = 13

_TYPE = struct.Struct("l")  # struct msgbuf: the type, followed by the text

_msgget = function("msgget", c_int, c_int, c_int)
_msgsnd = function("msgsnd", c_int, c_int, c_void_p, c_size_t, c_int)
_msgrcv = function("msgrcv", c_ssize_t, c_int, c_void_p, c_size_t, c_long, c_int)
_msgctl = function("msgctl", c_int, c_int, c_int, c_void_p)


class Msgbuf(NamedTuple):
    """struct msgbuf (msgop(2)): a positive message type, and the text. It unpacks as a tuple: type, text = message."""

    type: int
    text: bytes


@dataclass(frozen=True, slots=True)
class MsqidDs:
    """struct msqid_ds (msgctl(2)): sizes in bytes, times in seconds since the Epoch, 0 for never.

    `id` is the queue's identifier; MSG_STAT and MSG_STAT_ANY are called with an index and return it.
    """

    id: int
    perm: IpcPerm
    stime: int
    rtime: int
    ctime: int
    cbytes: int
    qnum: int
    qbytes: int
    lspid: int
    lrpid: int


@dataclass(frozen=True, slots=True)
class MsgLimits:
    """struct msginfo (msgctl(2), IPC_INFO): `msgmax` bytes a message, `msgmnb` bytes a new queue, `msgmni` queues.

    The kernel does not use the others. `highest` is the highest used index.
    """

    msgpool: int
    msgmap: int
    msgmax: int
    msgmnb: int
    msgmni: int
    msgssz: int
    msgtql: int
    msgseg: int
    highest: int


@dataclass(frozen=True, slots=True)
class MsgInfo:
    """struct msginfo (msgctl(2), MSG_INFO): the number of queues, of messages in all queues, and of their bytes."""

    queues: int
    messages: int
    bytes: int
    highest: int


def msgget(key: int, msgflg: int) -> int:
    """Return the id of the queue with *key*, or of a new queue (msgget(2)). OSError."""
    result: int = _msgget(key, msgflg)
    return result


def msgsnd(msqid: int, mtype: int, text: bytes, msgflg: int = 0) -> None:
    """Put a message into the queue, waiting for space unless *msgflg* has IPC_NOWAIT (msgop(2)).

    OSError, EINTR included.
    """
    if not isinstance(text, bytes):
        raise TypeError(f"msgsnd: text must be bytes, not {type(text).__name__} {text!r}")
    try:
        message = _TYPE.pack(mtype) + text
    except struct.error:
        check_integer("msgsnd", mtype, LONG)
        raise
    _msgsnd(msqid, message, len(text), msgflg)


def msgrcv(msqid: int, msgsz: int, msgtyp: int = 0, msgflg: int = 0) -> Msgbuf:
    """Take a message of at most *msgsz* bytes, waiting for one unless *msgflg* has IPC_NOWAIT (msgop(2)).

    *msgtyp* selects the message: 0 the first, a positive number the first of that type (of another type with
    MSG_EXCEPT), a negative number the lowest type up to -msgtyp; with MSG_COPY it is a position in the queue. OSError,
    EINTR included.
    """
    check_integer("msgrcv", msgsz, (0, SIZE[1] - _TYPE.size))
    buffer: Any = (c_char * (_TYPE.size + msgsz))()
    length = _msgrcv(msqid, buffer, msgsz, msgtyp, msgflg)
    # A slice, as `raw` copies the whole buffer.
    (mtype,) = _TYPE.unpack_from(buffer)
    return Msgbuf(mtype, buffer[_TYPE.size : _TYPE.size + length])


def msgsnd_raw(msqid: int, msgp: int | None, msgsz: int, msgflg: int = 0) -> None:
    """Call msgsnd(2) with *msgp*, the address of a struct msgbuf, or None. OSError, EINTR included."""
    check_address("msgsnd", msgp)
    _msgsnd(msqid, msgp, msgsz, msgflg)


def msgrcv_raw(msqid: int, msgp: int | None, msgsz: int, msgtyp: int = 0, msgflg: int = 0) -> int:
    """Call msgrcv(2) with *msgp*, the address of a long and *msgsz* bytes; return the length of the text.

    OSError, EINTR included.
    """
    check_address("msgrcv", msgp)
    result: int = _msgrcv(msqid, msgp, msgsz, msgtyp, msgflg)
    return result


def msgctl(msqid: int, cmd: int, buf: int | None = None) -> int:
    """Call msgctl(2) with *buf*, an address or None. OSError.

    The typed functions below serve every command that fills a buffer.
    """
    check_address("msgctl", buf)
    result: int = _msgctl(msqid, cmd, buf)
    return result


def msgctl_stat(msqid: int, cmd: int = IPC_STAT) -> MsqidDs:
    """Return the state of a queue (msgctl(2), IPC_STAT). OSError.

    With MSG_STAT and MSG_STAT_ANY as *cmd*, *msqid* is an index.
    """
    ds: Any = abi.msqid_ds()()
    result = msgctl(msqid, cmd, addressof(ds))
    return MsqidDs(
        msqid if cmd == IPC_STAT else result,
        IpcPerm.read(ds.perm),
        abi.time_member(ds, "stime"),
        abi.time_member(ds, "rtime"),
        abi.time_member(ds, "ctime"),
        ds.cbytes,
        ds.qnum,
        ds.qbytes,
        ds.lspid,
        ds.lrpid,
    )


def msgctl_set(
    msqid: int, *, uid: int | None = None, gid: int | None = None, mode: int | None = None, qbytes: int | None = None
) -> None:
    """Set owner, group, the low nine mode bits and the capacity in bytes (msgctl(2), IPC_SET). OSError.

    A value of None is kept: it is read with IPC_STAT first, which needs read permission, unless all four are given.
    """
    wanted = {"uid": uid, "gid": gid, "mode": mode, "qbytes": qbytes}
    changes = {name: value for name, value in wanted.items() if value is not None}
    for name, value in changes.items():
        check_integer("msgctl", value, {"mode": USHORT, "qbytes": ULONG}.get(name, UINT))
    ds: Any = abi.msqid_ds()()
    if None in wanted.values():
        msgctl(msqid, IPC_STAT, addressof(ds))
    for name, value in changes.items():
        setattr(ds if name == "qbytes" else ds.perm, name, value)
    msgctl(msqid, IPC_SET, addressof(ds))


def msgctl_rmid(msqid: int) -> None:
    """Remove the queue with its messages; waiting calls fail with EIDRM (msgctl(2), IPC_RMID). OSError."""
    msgctl(msqid, IPC_RMID)


def msgctl_limits() -> MsgLimits:
    """Return the limits of this IPC namespace (msgctl(2), IPC_INFO). OSError."""
    info: Any = abi.msginfo()
    highest = msgctl(0, IPC_INFO, addressof(info))
    return MsgLimits(**{name: getattr(info, name) for name in MsgLimits.__slots__[:-1]}, highest=highest)


def msgctl_info() -> MsgInfo:
    """Return the usage by all queues of this IPC namespace (msgctl(2), MSG_INFO). OSError."""
    info = abi.msginfo()
    highest = msgctl(0, MSG_INFO, addressof(info))
    return MsgInfo(info.msgpool, info.msgmap, info.msgtql, highest)
