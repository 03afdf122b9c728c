"""POSIX message queues: mq_open(3), mq_send(3), mq_receive(3), mq_getattr(3), mq_notify(3), mq_unlink(3).

A queue's descriptor is a file descriptor on Linux: os.fstat, select.poll and os.set_blocking work on it.
"""

from __future__ import annotations

import struct
from ctypes import addressof, byref, c_char, c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_void_p
from dataclasses import dataclass
from typing import Any

from . import abi
from .libc import INT, LONG, SIZE, check_integer, function
from .posix_sem import name_bytes
from .times import Timespec

__all__ = [
    "MQ_PRIO_MAX",
    "MqAttr",
    "mq_close",
    "mq_getattr",
    "mq_notify",
    "mq_open",
    "mq_receive",
    "mq_send",
    "mq_setattr",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

MQ_PRIO_MAX = 32768  # mq_overview(7): the highest priority is one less

# mq_open has variable arguments in C; with all four given the calling convention is the same on every machine of the
# tables.
_mq_open = function("mq_open", c_int, c_char_p, c_int, c_uint, c_void_p)
_mq_close = function("mq_close", c_int, c_int)
_mq_unlink = function("mq_unlink", c_int, c_char_p)
_mq_send = function("mq_send", c_int, c_int, c_char_p, c_size_t, c_uint)
_mq_timedsend = function("mq_timedsend", c_int, c_int, c_char_p, c_size_t, c_uint, c_void_p)
_mq_receive = function("mq_receive", c_ssize_t, c_int, c_void_p, c_size_t, c_void_p)
_mq_timedreceive = function("mq_timedreceive", c_ssize_t, c_int, c_void_p, c_size_t, c_void_p, c_void_p)
_mq_getattr = function("mq_getattr", c_int, c_int, c_void_p)
_mq_setattr = function("mq_setattr", c_int, c_int, c_void_p, c_void_p)
_mq_notify = function("mq_notify", c_int, c_int, c_void_p)


@dataclass(frozen=True, slots=True)
class MqAttr:
    """struct mq_attr (mq_getattr(3)): flags, capacity in messages, message size in bytes, messages in the queue."""

    flags: int = 0
    maxmsg: int = 0
    msgsize: int = 0
    curmsgs: int = 0

    def pack(self, name: str) -> abi.mq_attr:
        """Return the C structure. OverflowError for a value that does not fit a long."""
        values = (self.flags, self.maxmsg, self.msgsize, self.curmsgs)
        for value in values:
            check_integer(name, value, LONG)
        return abi.mq_attr(*values)

    @classmethod
    def read(cls, raw: Any) -> MqAttr:
        """Return the values of the C structure."""
        return cls(raw.flags, raw.maxmsg, raw.msgsize, raw.curmsgs)


def mq_open(name: str | bytes, oflag: int, mode: int = 0o600, attr: MqAttr | None = None) -> int:
    """Open the queue *name*, or create it with O_CREAT, and return its descriptor (mq_open(3)). OSError.

    *mode*, less the umask, and *attr* apply to a new queue; without *attr* it has the defaults of /proc/sys/fs/mqueue.
    """
    packed = None if attr is None else byref(attr.pack("mq_open"))
    result: int = _mq_open(name_bytes(name), oflag, mode, packed)
    return result


def mq_close(mqdes: int) -> None:
    """Close the descriptor; a notification requested through it is cancelled (mq_close(3)). OSError."""
    _mq_close(mqdes)


def mq_unlink(name: str | bytes) -> None:
    """Remove the name; the queue is freed after its last close (mq_unlink(3)). OSError."""
    _mq_unlink(name_bytes(name))


def mq_send(mqdes: int, data: bytes, priority: int = 0) -> None:
    """Put a message into the queue, waiting for space (mq_send(3)).

    OSError: EAGAIN with O_NONBLOCK, EINTR, EMSGSIZE.
    """
    _mq_send(mqdes, data, len(data), priority)


def mq_timedsend(mqdes: int, data: bytes, priority: int, abs_timeout: Timespec) -> None:
    """Put a message into the queue, waiting up to a time of CLOCK_REALTIME (mq_send(3)). OSError: ETIMEDOUT."""
    _mq_timedsend(mqdes, data, len(data), priority, byref(abs_timeout.pack()))


def mq_receive(mqdes: int, size: int) -> tuple[bytes, int]:
    """Take the oldest message of the highest priority; return its text and that priority (mq_receive(3)).

    *size* is the size of the buffer in bytes, at least the queue's mq_msgsize. OSError: EAGAIN with O_NONBLOCK, EINTR,
    EMSGSIZE.
    """
    return _received(_mq_receive, mqdes, size)


def mq_timedreceive(mqdes: int, size: int, abs_timeout: Timespec) -> tuple[bytes, int]:
    """Take a message, waiting up to a time of CLOCK_REALTIME (mq_receive(3)). OSError: ETIMEDOUT."""
    return _received(_mq_timedreceive, mqdes, size, byref(abs_timeout.pack()))


_RECEIVED = struct.Struct("I4x")  # the priority, followed by the text


def _received(call: Any, mqdes: int, size: int, *time: Any) -> tuple[bytes, int]:
    check_integer(call.__name__, size, SIZE)
    buffer: Any = (c_char * (_RECEIVED.size + size))()
    place = addressof(buffer)
    length = call(mqdes, place + _RECEIVED.size, size, place, *time)
    # A slice, as `raw` copies the whole buffer.
    return buffer[_RECEIVED.size : _RECEIVED.size + length], *_RECEIVED.unpack_from(buffer)


_PASSED = byref(Timespec().pack())  # a time with which a call does not wait


def mq_send_at_once(mqdes: int, data: bytes, priority: int) -> None:
    """Put a message into the queue as mq_timedsend does with a time that has passed. OSError: ETIMEDOUT if full."""
    _mq_timedsend(mqdes, data, len(data), priority, _PASSED)


def mq_receive_at_once(mqdes: int, size: int) -> tuple[bytes, int]:
    """Take a message as mq_timedreceive does with a time that has passed. OSError: ETIMEDOUT if there is none."""
    return _received(_mq_timedreceive, mqdes, size, _PASSED)


def mq_getattr(mqdes: int) -> MqAttr:
    """Return the flags (O_NONBLOCK or 0), the capacity and the number of messages of the queue (mq_getattr(3)).

    OSError.
    """
    attr = abi.mq_attr()
    _mq_getattr(mqdes, byref(attr))
    return MqAttr.read(attr)


def mq_setattr(mqdes: int, attr: MqAttr) -> MqAttr:
    """Set or clear O_NONBLOCK by the flags of *attr*; return the old attributes (mq_setattr(3)). OSError.

    The other members of *attr* are ignored.
    """
    old = abi.mq_attr()
    _mq_setattr(mqdes, byref(attr.pack("mq_setattr")), byref(old))
    return MqAttr.read(old)


def mq_notify(
    mqdes: int,
    notify: int | None,
    signo: int = 0,
    value: int = 0,
    *,
    function: int = 0,
    argument: int | None = None,
    attributes: int | None = None,
) -> None:
    """Request one notification of a message that arrives in the empty queue (mq_notify(3)). OSError.

    A *notify* of None cancels the request. SIGEV_SIGNAL sends *signo* with *value*, SIGEV_NONE nothing. SIGEV_THREAD
    makes libc call the C function at the address *function* in a new thread, with the address *argument*, or else
    *value*; a Python function must be wrapped by ctypes. *attributes* is the address of the thread's pthread_attr_t.
    """
    if notify is None:
        _mq_notify(mqdes, None)
        return
    check_integer("mq_notify", notify, INT)
    check_integer("mq_notify", signo, INT)
    check_integer("mq_notify", value, INT)
    for address in (function, argument, attributes):
        if address is not None:
            check_integer("mq_notify", address, SIZE)
    word = abi.sigval(value) if argument is None else argument
    _mq_notify(mqdes, byref(abi.sigevent_thread(word, signo, notify, function, attributes)))
