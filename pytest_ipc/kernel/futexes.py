"""Wait on a word of memory and wake its waiters: futex(2), futex_waitv(2), set_robust_list(2).

No libc has wrappers: every function is a syscall(2) with the machine's number. A word is given by its address, a
multiple of four; processes use a word in memory that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import addressof, c_size_t, c_void_p, sizeof

from . import abi
from .libc import INT, SIZE, UINT, check_integer, syscall
from .syscalls import number_of
from .times import Timespec

__all__ = [
    "FUTEX2_PRIVATE",
    "FUTEX2_SIZE_U32",
    "FUTEX_BITSET_MATCH_ANY",
    "FUTEX_CLOCK_REALTIME",
    "FUTEX_CMP_REQUEUE",
    "FUTEX_CMP_REQUEUE_PI",
    "FUTEX_FD",
    "FUTEX_LOCK_PI",
    "FUTEX_LOCK_PI2",
    "FUTEX_OP_ADD",
    "FUTEX_OP_ANDN",
    "FUTEX_OP_CMP_EQ",
    "FUTEX_OP_CMP_GE",
    "FUTEX_OP_CMP_GT",
    "FUTEX_OP_CMP_LE",
    "FUTEX_OP_CMP_LT",
    "FUTEX_OP_CMP_NE",
    "FUTEX_OP_OPARG_SHIFT",
    "FUTEX_OP_OR",
    "FUTEX_OP_SET",
    "FUTEX_OP_XOR",
    "FUTEX_OWNER_DIED",
    "FUTEX_PRIVATE_FLAG",
    "FUTEX_REQUEUE",
    "FUTEX_TID_MASK",
    "FUTEX_TRYLOCK_PI",
    "FUTEX_UNLOCK_PI",
    "FUTEX_WAIT",
    "FUTEX_WAITERS",
    "FUTEX_WAITV_MAX",
    "FUTEX_WAIT_BITSET",
    "FUTEX_WAIT_REQUEUE_PI",
    "FUTEX_WAKE",
    "FUTEX_WAKE_BITSET",
    "FUTEX_WAKE_OP",
    "futex",
    "futex_cmp_requeue",
    "futex_lock_pi",
    "futex_requeue",
    "futex_trylock_pi",
    "futex_unlock_pi",
    "futex_wait",
    "futex_wait_bitset",
    "futex_waitv",
    "futex_wake",
    "futex_wake_bitset",
    "futex_wake_op",
    "get_robust_list",
    "set_robust_list",
]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

FUTEX_WAIT = 0
FUTEX_WAKE = 1
FUTEX_FD = 2
FUTEX_REQUEUE = 3
FUTEX_CMP_REQUEUE = 4
FUTEX_WAKE_OP = 5
FUTEX_LOCK_PI = 6
FUTEX_UNLOCK_PI = 7
FUTEX_TRYLOCK_PI = 8
FUTEX_WAIT_BITSET = 9
FUTEX_WAKE_BITSET = 10
FUTEX_WAIT_REQUEUE_PI = 11
FUTEX_CMP_REQUEUE_PI = 12
FUTEX_LOCK_PI2 = 13

FUTEX_PRIVATE_FLAG = 128
FUTEX_CLOCK_REALTIME = 256
FUTEX_BITSET_MATCH_ANY = 0xFFFF_FFFF

FUTEX_OP_SET, FUTEX_OP_ADD, FUTEX_OP_OR, FUTEX_OP_ANDN, FUTEX_OP_XOR = range(5)
FUTEX_OP_OPARG_SHIFT = 8
FUTEX_OP_CMP_EQ, FUTEX_OP_CMP_NE, FUTEX_OP_CMP_LT, FUTEX_OP_CMP_LE, FUTEX_OP_CMP_GT, FUTEX_OP_CMP_GE = range(6)

# The bits of a priority-inheritance or robust futex beside the owner's thread id.
FUTEX_WAITERS = 0x8000_0000
FUTEX_OWNER_DIED = 0x4000_0000
FUTEX_TID_MASK = 0x3FFF_FFFF

FUTEX2_SIZE_U32 = 2
FUTEX2_PRIVATE = 128
FUTEX_WAITV_MAX = 128

_FUTEX_WAITV = 449  # the same on every architecture, like all from 424 on


def futex(uaddr: int, op: int, val: int = 0, timeout: int = 0, uaddr2: int = 0, val3: int = 0) -> int:
    """Call futex(2). *timeout* is the address of a timespec, 0, or the number val2. OSError, EINTR included."""
    for address in (uaddr, timeout, uaddr2):
        check_integer("futex", address, SIZE)
    check_integer("futex", op, INT)
    for value in (val, val3):
        check_integer("futex", value, (INT[0], UINT[1]))  # the page counts with int and compares with uint32_t
    return syscall(number_of("futex"), uaddr, op, val, timeout, uaddr2, val3)


def _timed(uaddr: int, op: int, val: int, time: Timespec | None, val3: int = 0) -> None:
    packed = None if time is None else time.pack()
    futex(uaddr, op, val, 0 if packed is None else addressof(packed), 0, val3)


def futex_wait(uaddr: int, expected: int, timeout: Timespec | None = None, *, flags: int = 0) -> None:
    """Sleep if the word is *expected*, until a wake-up or for *timeout* (futex(2), FUTEX_WAIT).

    OSError: EAGAIN if the word has another value, ETIMEDOUT, EINTR. *flags*: FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME.
    """
    _timed(uaddr, FUTEX_WAIT | flags, expected, timeout)


def futex_wake(uaddr: int, most: int = 1, *, flags: int = 0) -> int:
    """Wake at most *most* waiters of the word and return their number (futex(2), FUTEX_WAKE). OSError."""
    return futex(uaddr, FUTEX_WAKE | flags, most)


def futex_wait_bitset(
    uaddr: int, expected: int, bitset: int = FUTEX_BITSET_MATCH_ANY, until: Timespec | None = None, *, flags: int = 0
) -> None:
    """Sleep if the word is *expected*, for wakers that share a bit of *bitset* (futex(2), FUTEX_WAIT_BITSET).

    *until* is a time of CLOCK_MONOTONIC, or of CLOCK_REALTIME with FUTEX_CLOCK_REALTIME among the *flags*. OSError.
    """
    _timed(uaddr, FUTEX_WAIT_BITSET | flags, expected, until, bitset)


def futex_wake_bitset(uaddr: int, most: int, bitset: int, *, flags: int = 0) -> int:
    """Wake at most *most* waiters that share a bit of *bitset*; return their number (futex(2), FUTEX_WAKE_BITSET).

    OSError.
    """
    return futex(uaddr, FUTEX_WAKE_BITSET | flags, most, 0, 0, bitset)


def futex_requeue(uaddr: int, wake: int, requeue: int, uaddr2: int, *, flags: int = 0) -> int:
    """Wake *wake* waiters and move at most *requeue* others to *uaddr2* (futex(2), FUTEX_REQUEUE). OSError.

    Returns the number of woken waiters.
    """
    return futex(uaddr, FUTEX_REQUEUE | flags, wake, requeue, uaddr2)


def futex_cmp_requeue(uaddr: int, wake: int, requeue: int, uaddr2: int, expected: int, *, flags: int = 0) -> int:
    """Wake and move waiters if the word is *expected* (futex(2), FUTEX_CMP_REQUEUE). OSError: EAGAIN if it is not.

    Returns the number of woken and moved waiters.
    """
    return futex(uaddr, FUTEX_CMP_REQUEUE | flags, wake, requeue, uaddr2, expected)


def futex_wake_op(uaddr: int, wake: int, uaddr2: int, wake2: int, operation: int, *, flags: int = 0) -> int:
    """Change the word at *uaddr2*, wake waiters of *uaddr*, and conditionally of *uaddr2* (futex(2), FUTEX_WAKE_OP).

    *operation* is op << 28 | cmp << 24 | oparg << 12 | cmparg, the number of FUTEX_OP. OSError.
    """
    return futex(uaddr, FUTEX_WAKE_OP | flags, wake, wake2, uaddr2, operation)


def futex_lock_pi(uaddr: int, until: Timespec | None = None, *, flags: int = 0) -> None:
    """Lock the word for this thread, waiting *until* a time of CLOCK_REALTIME (futex(2), FUTEX_LOCK_PI).

    OSError: EDEADLK, ETIMEDOUT.
    """
    _timed(uaddr, FUTEX_LOCK_PI | flags, 0, until)


def futex_trylock_pi(uaddr: int, *, flags: int = 0) -> None:
    """Lock the word for this thread if it is free (futex(2), FUTEX_TRYLOCK_PI). OSError: EAGAIN, EDEADLK."""
    futex(uaddr, FUTEX_TRYLOCK_PI | flags)


def futex_unlock_pi(uaddr: int, *, flags: int = 0) -> None:
    """Pass the lock to the waiter of the highest priority (futex(2), FUTEX_UNLOCK_PI).

    OSError: EPERM unless it is held.
    """
    futex(uaddr, FUTEX_UNLOCK_PI | flags)


def futex_waitv(waiters: Sequence[tuple[int, int]], *, flags: int = FUTEX2_SIZE_U32) -> int:
    """Wait on several words, given as address and expected value; return the index of one woken (futex_waitv(2)).

    OSError.
    """
    array = (abi.futex_waitv * len(waiters))()
    for entry, (uaddr, expected) in zip(array, waiters, strict=True):
        check_integer("futex_waitv", uaddr, SIZE)
        check_integer("futex_waitv", expected, UINT)
        entry.uaddr, entry.val, entry.flags = uaddr, expected, flags
    return syscall(_FUTEX_WAITV, addressof(array), len(waiters), 0, 0, 0)


def set_robust_list(head: int, size: int | None = None) -> None:
    """Set the address of this thread's list of robust futexes (set_robust_list(2)).

    It replaces libc's own list: the thread must not lock robust mutexes of libc afterwards. OSError: EINVAL for a wrong
    *size*.
    """
    check_integer("set_robust_list", head, SIZE)
    syscall(number_of("set_robust_list"), head, sizeof(abi.robust_list_head) if size is None else size)


def get_robust_list(tid: int = 0) -> tuple[int, int]:
    """Return address and size of the list of thread *tid*, 0 for this one (set_robust_list(2)).

    OSError: ESRCH, EPERM.
    """
    check_integer("get_robust_list", tid, INT)
    head, size = c_void_p(), c_size_t()
    syscall(number_of("get_robust_list"), tid, addressof(head), addressof(size))
    return head.value or 0, size.value
