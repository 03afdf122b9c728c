"""Keys of System V objects.

A key is random and claimed with IPC_EXCL: counters would collide with the keys of another run, and ftok(3) with itself.
An object with a key, unlike an IPC_PRIVATE one, can be found by another process and by a later sweep.
"""

from __future__ import annotations

from ..kernel.libc import INT
from ..unpatched import os

__all__ = ["unused_key"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def unused_key() -> int:
    """Return a key that no System V object of any kind is likely to have: 30 random bits, never IPC_PRIVATE."""
    return int.from_bytes(os.urandom(4), "big") >> 2 | 0x4000_0000


def check_key(key: int) -> int:
    """Return *key* if it fits key_t. Raises TypeError or ValueError."""
    if isinstance(key, bool) or not isinstance(key, int):
        raise TypeError(f"key must be an integer, not {key!r}")
    if not INT[0] <= key <= INT[1]:
        raise ValueError(f"key must be from {INT[0]} to {INT[1]} (key_t), not {key}")
    return key
