"""Memory shared by the workers of a workload: mapped before they are forked, at one address in all of them."""

from __future__ import annotations

import mmap
from ctypes import addressof, c_char, c_uint, memset

from .workload import Workload

__all__ = ["InMemory", "load", "store"]

BYTES = mmap.PAGESIZE


class InMemory(Workload):
    """A workload on objects in shared memory. `fresh` returns it zeroed, before each history.

    Histories alternate between two areas, as workers release what they hold in the previous one when the next begins.
    """

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._start = self._turn = 0

    def fresh(self) -> int:
        """Return the address of BYTES zeros."""
        if self._memory is None:
            self._memory = mmap.mmap(-1, 2 * BYTES)
            self._start = addressof(c_char.from_buffer(self._memory))
        self._turn ^= BYTES
        memset(self._start + self._turn, 0, BYTES)
        return self._start + self._turn


def load(address: int) -> int:
    """Return the 32-bit word at *address*."""
    return c_uint.from_address(address).value


def store(address: int, value: int) -> None:
    """Set the 32-bit word at *address*."""
    c_uint.from_address(address).value = value
