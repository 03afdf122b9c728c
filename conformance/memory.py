"""Memory by address: loads, stores and free ranges for clauses about mappings. A wrong address raises SIGSEGV."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator

from pytest_ipc import Need, untested
from pytest_ipc.kernel import MAP_ANONYMOUS, MAP_SHARED, mincore, munmap, process_status
from pytest_ipc.kernel import mmap as raw_mmap

# Anonymous memory that the kernel neither merges with adjacent mappings nor backs with huge pages unrequested, so that
# exactly the pages that were touched are resident.
APART = MAP_SHARED | MAP_ANONYMOUS


def peek(address: int, count: int) -> bytes:
    """Return *count* bytes at *address*."""
    return ctypes.string_at(address, count)


def poke(address: int, value: int) -> None:
    """Store one byte at *address*."""
    ctypes.c_ubyte.from_address(address).value = value


def free_range(length: int, align: int = mmap.PAGESIZE) -> int:
    """Return an aligned address of *length* unmapped bytes, with an unmapped page before and behind.

    The range is found by mapping and unmapping it. Nothing else maps memory before the next call of the test, which has
    one thread; the small objects of a call are not placed there.
    """
    area = mmap.mmap(-1, length + 2 * align + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(view := ctypes.c_char.from_buffer(area))
    del view
    area.close()
    return -(-(start + mmap.PAGESIZE) // align) * align


def mapped() -> list[tuple[int, int]]:
    """Return the mappings of this process, as start and end addresses."""
    return [(start, end) for start, end, _ in _maps()]


def mapped_at(address: int) -> tuple[int, int, str] | None:
    """Return the mapping that contains *address*: start, end and permissions such as "rw-s"; None if there is none."""
    return next((found for found in _maps() if found[0] <= address < found[1]), None)


def _maps() -> Iterator[tuple[int, int, str]]:
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, rights, *_ = line.split()
            start, end = span.split("-")
            yield int(start, 16), int(end, 16), rights


def kilobytes(address: int, *names: str) -> int:
    """Return the sum in kB of fields such as Private_Dirty in /proc/self/smaps for the mapping at *address*."""
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
    """Return by mincore(2) whether each page of the range is resident; untested if the kernel does not report that."""
    fresh = raw_mmap(None, mmap.PAGESIZE, flags=APART)
    reported = mincore(fresh, mmap.PAGESIZE) == [False]
    munmap(fresh, mmap.PAGESIZE)
    if not reported:
        untested(Need.NEWER_KERNEL, "needs a mincore(2) that reports the pages in memory")
    return mincore(address, length)


def locked() -> int:
    """Return the number of locked bytes of this process, by /proc/self/status (proc(5))."""
    size = process_status().get("VmLck")
    if size is None:
        untested(Need.PROC_FILES, "needs VmLck in /proc/self/status")
    return int(size.split()[0]) * 1024
