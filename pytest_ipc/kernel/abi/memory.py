"""The constants of mmap(2) and mlockall(2) that differ between machines."""

from __future__ import annotations

from .layout import known, machine

__all__ = ["MAP_32BIT", "MAP_LOCKED", "MAP_NORESERVE", "MCL_CURRENT", "MCL_FUTURE", "MCL_ONFAULT", "mmap_is_known"]

_POWER = machine() == "ppc64le"  # its numbers are older than those of asm-generic

MAP_LOCKED, MAP_NORESERVE = (0x80, 0x40) if _POWER else (0x2000, 0x4000)
MAP_32BIT = 0x40 if machine() in ("x86_64", "i386") else 0  # the flag exists only there
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = (0x2000, 0x4000, 0x8000) if _POWER else (1, 2, 4)


def mmap_is_known() -> None:
    """Raise NotImplementedError on a machine that may have other flags, such as mips, alpha and parisc."""
    try:
        known("mmap")
    except NotImplementedError:
        raise NotImplementedError(f"numbers unknown for the flags of mmap(2) on {machine()}") from None
