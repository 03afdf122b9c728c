"""The version of the running kernel, as numbers that can be compared."""

from __future__ import annotations

import re

from ..unpatched import os

__all__ = ["kernel_is_older", "kernel_version"]


def kernel_version() -> tuple[int, ...]:
    """uname(2): the numbers that the release begins with, as (6, 18, 44); () where it begins with none."""
    running = re.match(r"\d+(\.\d+)*", os.uname().release)
    return _numbers(running[0]) if running else ()


def kernel_is_older(version: str) -> bool:
    """Whether the running kernel is known to be older than *version*, as in "4.17". ValueError if that is no version."""
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise ValueError(f"{version!r} is no kernel version: it should look like '4.17'")
    running = kernel_version()
    return bool(running) and running < _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
