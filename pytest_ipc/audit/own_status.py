"""Settings of this process that /proc/self/status shows together; each has a call or a file of its own as well."""

from __future__ import annotations

from dataclasses import dataclass

from ..unpatched import os

__all__ = ["OwnStatus", "own_status"]


@dataclass(slots=True)
class OwnStatus:
    """The umask, the number of threads, the ignored and the caught signals as bits; None for what is not shown."""

    umask: int | None
    threads: int | None
    ignored: int | None
    caught: int | None


def own_status() -> OwnStatus:
    """Return what /proc/self/status shows (proc_pid_status(5)). OSError."""
    fd = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 65536)  # one read returns the whole file
    finally:
        os.close(fd)
    return OwnStatus(
        _number(b"\nUmask:\t", text, 8),  # since Linux 4.7
        _number(b"\nThreads:\t", text, 10),
        _number(b"\nSigIgn:\t", text, 16),
        _number(b"\nSigCgt:\t", text, 16),
    )


def _number(name: bytes, text: bytes, base: int) -> int | None:
    at = text.find(name)
    return None if at < 0 else int(text[at + len(name) : text.index(b"\n", at + 1)], base)
