"""The structures of POSIX semaphores and message queues: sem_t, struct mq_attr, struct sigevent.

glibc and musl have the same sizes here: both are made of longs, pointers and ints, whatever the machine.
"""

from __future__ import annotations

from ctypes import Structure, c_byte, c_int, c_long, c_ulong, c_void_p, sizeof

__all__ = ["SEM_BYTES", "mq_attr", "sigevent_thread"]

SEM_BYTES = 4 * sizeof(c_long)  # size of a sem_t; its alignment is that of a long


class mq_attr(Structure):  # noqa: N801 - the structure's own name
    """struct mq_attr (mq_getattr(3)): flags, and the three numbers of a message queue."""

    _fields_ = [
        ("flags", c_long),
        ("maxmsg", c_long),
        ("msgsize", c_long),
        ("curmsgs", c_long),
        ("reserved", c_long * 4),
    ]


class sigevent_thread(Structure):  # noqa: N801 - the structure's own name, with one member of its union
    """struct sigevent (sigevent(3type)) with the members of SIGEV_THREAD, which only libc reads."""

    _fields_ = [
        ("value", c_ulong),
        ("signo", c_int),
        ("notify", c_int),
        ("function", c_void_p),
        ("attributes", c_void_p),
        ("pad", c_byte * (64 - 3 * sizeof(c_void_p) - 2 * sizeof(c_int))),
    ]
