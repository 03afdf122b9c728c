"""System V message queues: msgget(2), msgop(2), msgctl(2).

A call that blocks has no time-out in this family: it ends with a message, with room, with the queue, or with a signal.
"""

from __future__ import annotations

from ctypes import addressof, c_int, c_long, c_size_t, c_ssize_t, c_void_p, create_string_buffer, sizeof
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

MSG_NOERROR = 0o10000
MSG_EXCEPT = 0o20000
MSG_COPY = 0o40000

MSG_STAT = 11
MSG_INFO = 12
MSG_STAT_ANY = 13

_TYPE = sizeof(c_long)  # struct msgbuf: the type, and right behind it the text

_msgget = function("msgget", c_int, c_int, c_int)
_msgsnd = function("msgsnd", c_int, c_int, c_void_p, c_size_t, c_int)
_msgrcv = function("msgrcv", c_ssize_t, c_int, c_void_p, c_size_t, c_long, c_int)
_msgctl = function("msgctl", c_int, c_int, c_int, c_void_p)


class Msgbuf(NamedTuple):
    """struct msgbuf (msgop(2)): a message's type, from 1 on, and its text. It can be taken apart: type, text = message."""

    type: int
    text: bytes


@dataclass(frozen=True, slots=True)
class MsqidDs:
    """struct msqid_ds (msgctl(2)): sizes in bytes, times in seconds since the Epoch, 0 for never.

    `id` is the queue's identifier: with MSG_STAT and MSG_STAT_ANY the call was made with an index and gave it.
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
    """struct msginfo (msgctl(2), MSG_INFO): queues that exist, the messages in all of them and the bytes of these."""

    queues: int
    messages: int
    bytes: int
    highest: int


def msgget(key: int, msgflg: int) -> int:
    """msgget(2): the id of the queue with *key*, or of a new one. OSError with the call's errno."""
    result: int = _msgget(key, msgflg)
    return result


def msgsnd(msqid: int, mtype: int, text: bytes, msgflg: int = 0) -> None:
    """msgop(2): put a message into the queue, waiting for room unless IPC_NOWAIT is among the flags. OSError, EINTR included."""
    check_integer("msgsnd", mtype, LONG)
    if not isinstance(text, bytes):
        raise TypeError(f"msgsnd: the text of a message is bytes, not {type(text).__name__} {text!r}")
    buffer = create_string_buffer(bytes(c_long(mtype)) + text, _TYPE + len(text))
    _msgsnd(msqid, addressof(buffer), len(text), msgflg)


def msgrcv(msqid: int, msgsz: int, msgtyp: int = 0, msgflg: int = 0) -> Msgbuf:
    """msgop(2): take a message of at most *msgsz* bytes, waiting for one unless IPC_NOWAIT is among the flags.

    *msgtyp* chooses it: 0 any, above 0 that type (every other with MSG_EXCEPT), below 0 the lowest type up to -msgtyp; with
    MSG_COPY it is a position in the queue. OSError, EINTR included.
    """
    check_integer("msgrcv", msgsz, (0, SIZE[1] - _TYPE))
    buffer = create_string_buffer(_TYPE + msgsz)
    length = _msgrcv(msqid, addressof(buffer), msgsz, msgtyp, msgflg)
    return Msgbuf(c_long.from_buffer(buffer).value, buffer.raw[_TYPE : _TYPE + length])


def msgsnd_raw(msqid: int, msgp: int | None, msgsz: int, msgflg: int = 0) -> None:
    """msgop(2), msgsnd as it stands: *msgp* is the address of a struct msgbuf, or None. OSError, EINTR included."""
    check_address("msgsnd", msgp)
    _msgsnd(msqid, msgp, msgsz, msgflg)


def msgrcv_raw(msqid: int, msgp: int | None, msgsz: int, msgtyp: int = 0, msgflg: int = 0) -> int:
    """msgop(2), msgrcv as it stands: *msgp* is the address of room for a long and *msgsz* bytes. How many bytes came. OSError."""
    check_address("msgrcv", msgp)
    result: int = _msgrcv(msqid, msgp, msgsz, msgtyp, msgflg)
    return result


def msgctl(msqid: int, cmd: int, buf: int | None = None) -> int:
    """msgctl(2) as it stands: *buf* is an address or None. The typed forms below serve every command that fills a buffer."""
    check_address("msgctl", buf)
    result: int = _msgctl(msqid, cmd, buf)
    return result


def msgctl_stat(msqid: int, cmd: int = IPC_STAT) -> MsqidDs:
    """msgctl(2) with IPC_STAT, or MSG_STAT or MSG_STAT_ANY and an index for *msqid*: what the kernel knows. OSError."""
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
    """msgctl(2) with IPC_SET: change owner, group, the low nine mode bits or the room in bytes; what is None stays. OSError.

    What stays has to be asked for first, which needs read permission; where all four are given nothing is asked.
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
    """msgctl(2) with IPC_RMID: remove the queue with all that is in it, and wake everybody who waits at it. OSError."""
    msgctl(msqid, IPC_RMID)


def msgctl_limits() -> MsgLimits:
    """msgctl(2) with IPC_INFO: the limits, as the kernel holds them for this IPC namespace. OSError."""
    info: Any = abi.msginfo()
    highest = msgctl(0, IPC_INFO, addressof(info))
    return MsgLimits(**{name: getattr(info, name) for name in MsgLimits.__slots__[:-1]}, highest=highest)


def msgctl_info() -> MsgInfo:
    """msgctl(2) with MSG_INFO: what all queues of this IPC namespace hold. OSError."""
    info = abi.msginfo()
    highest = msgctl(0, MSG_INFO, addressof(info))
    return MsgInfo(info.msgpool, info.msgmap, info.msgtql, highest)
