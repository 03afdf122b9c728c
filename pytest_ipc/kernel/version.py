"""The version of the running kernel, as numbers that can be compared."""

from __future__ import annotations

import re

from ..unpatched import os

__all__ = ["kernel_is_older", "kernel_version"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def kernel_version() -> tuple[int, ...]:
    """Return the numbers at the start of the release, as (6, 18, 44), or () if there are none (uname(2))."""
    running = re.match(r"\d+(\.\d+)*", os.uname().release)
    return _numbers(running[0]) if running else ()


def kernel_is_older(version: str) -> bool:
    """Return whether the kernel is known to be older than *version*, such as "4.17". ValueError for another format."""
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise ValueError(f"kernel version must look like '4.17', not {version!r}")
    running = kernel_version()
    return bool(running) and running < _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
