"""Memory by address: what clauses about attaching and mapping read, write and make room in. A wrong address is a SIGSEGV."""

from __future__ import annotations

import ctypes
import mmap


def peek(address: int, count: int) -> bytes:
    """*count* bytes at *address*."""
    return ctypes.string_at(address, count)


def poke(address: int, value: int) -> None:
    """Store one byte at *address*."""
    ctypes.c_ubyte.from_address(address).value = value


def free_range(length: int, align: int = mmap.PAGESIZE) -> int:
    """An aligned address at which *length* bytes are nobody's, with a page free before and behind.

    The place is found by mapping it and letting go. Nothing else maps memory between that and the next call of the test:
    it is one thread, and so small an object as a call makes does not go there.
    """
    room = mmap.mmap(-1, length + 2 * align + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(view := ctypes.c_char.from_buffer(room))
    del view
    room.close()
    return -(-(start + mmap.PAGESIZE) // align) * align


def mapped() -> list[tuple[int, int]]:
    """What this process has mapped, as start and end addresses."""
    with open("/proc/self/maps") as maps:
        spans = [line.split()[0].split("-") for line in maps]
    return [(int(start, 16), int(end, 16)) for start, end in spans]
