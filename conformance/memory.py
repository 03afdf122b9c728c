"""Memory by address: what clauses about attaching and mapping read, write and make room in. A wrong address is a SIGSEGV."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator

from pytest_ipc import untested
from pytest_ipc.kernel import MAP_ANONYMOUS, MAP_SHARED, mincore, munmap, process_status
from pytest_ipc.kernel import mmap as raw_mmap

# Anonymous memory that the kernel neither joins with what lies beside it nor makes a huge page of unasked: what is in memory
# of it is what was put there.
APART = MAP_SHARED | MAP_ANONYMOUS


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
    return [(start, end) for start, end, _ in _maps()]


def mapped_at(address: int) -> tuple[int, int, str] | None:
    """The mapping that *address* lies in: start, end and rights, as "rw-s"; None where nothing is mapped."""
    return next((found for found in _maps() if found[0] <= address < found[1]), None)


def _maps() -> Iterator[tuple[int, int, str]]:
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, rights, *_ = line.split()
            start, end = span.split("-")
            yield int(start, 16), int(end, 16), rights


def kilobytes(address: int, *names: str) -> int:
    """The sum of some of the sizes that /proc/self/smaps (proc(5)) tells of the mapping at *address*, as Private_Dirty, in kB."""
    total, inside = 0, False
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            first, *rest = line.split()
            start, dash, end = first.partition("-")
            if dash:
                inside = int(start, 16) <= address < int(end, 16)
            elif inside and first.rstrip(":") in names:
                total += int(rest[0])
    return total


def resident(address: int, length: int) -> list[bool]:
    """mincore(2), where it tells: for each page of the range whether it is in memory."""
    fresh = raw_mmap(None, mmap.PAGESIZE, flags=APART)
    tells = mincore(fresh, mmap.PAGESIZE) == [False]
    munmap(fresh, mmap.PAGESIZE)
    if not tells:
        untested("needs a mincore that tells which pages are in memory")
    return mincore(address, length)


def locked() -> int:
    """How many bytes of its memory this process has locked, by /proc/self/status (proc(5))."""
    told = process_status().get("VmLck")
    if told is None:
        untested("needs VmLck in /proc/self/status")
    return int(told.split()[0]) * 1024
