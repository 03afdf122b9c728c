"""Requirements of a test: memory, a limit, a capability, a newer kernel; and which are unmet now, with the numbers.

Capabilities are checked by the capability bits and, where a call shows it at once, by a trial
call. The bits say little in a user namespace or behind a filter, and a user id says nothing.
"""

from __future__ import annotations

import math
import re
import resource
from collections.abc import Callable
from difflib import get_close_matches
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Any

from .kernel.capability import CAPABILITIES, capget
from .kernel.ipc import IPC_PRIVATE
from .kernel.namespace import CLONE_NEWIPC, unshare
from .kernel.proc_limits import limits, read_limit
from .kernel.shm import SHM_RDONLY, shmat, shmctl_rmid, shmget
from .kernel.version import kernel_is_older
from .processes.trial import trial
from .unpatched import os, socket

__all__ = ["REQUIREMENTS", "requires_capability", "requires_kernel", "requires_limit", "requires_shm"]

_SIZE = re.compile(r"(\d+)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = ("", "K", "M", "G", "T")


Lack = Callable[[], str | None]  # what is lacking now


def requires_shm(size: int | str) -> Lack:
    """So much room in /dev/shm."""
    needed = _size(size)

    def lack() -> str | None:
        free = read_limit("/dev/shm free")
        if free.value is None:
            return f"needs {_amount(needed)} in /dev/shm, and there is none: {free.reason}"
        if free.value < needed:
            return f"needs {_amount(needed)} in /dev/shm, and {_amount(free.value)} are there"
        return None

    return lack


def requires_limit(name: str, at_least: float | str | None = None, *, at_most: float | str | None = None) -> Lack:
    """A limit of limits() within bounds."""
    if not isinstance(name, str) or name not in (known := limits()):
        near = get_close_matches(str(name), known := limits(), 3, 0.5) or known
        raise LookupError(f"there is no limit {name!r}; perhaps {', '.join(near)}")
    if at_least is None and at_most is None:
        raise TypeError("it needs a number: at_least, at_most or both")
    least = -math.inf if at_least is None else _size(at_least)
    most = math.inf if at_most is None else _size(at_most)

    def lack() -> str | None:
        limit = read_limit(name)
        bound = f"at least {_number(least)}" if at_least is not None else f"at most {_number(most)}"
        if at_least is not None and at_most is not None:
            bound += f" and at most {_number(most)}"
        if limit.value is None:
            return f"needs {name} of {bound} {limit.unit}, and it is not there: {limit.reason}"
        if not least <= limit.value <= most:
            return f"needs {name} of {bound} {limit.unit}, and it is {_number(limit.value)}"
        return None

    return lack


def requires_capability(*names: str) -> Lack:
    """Capabilities of capabilities(7), all of them."""
    if not names:
        raise TypeError("it needs the name of a capability, as in 'CAP_SYS_ADMIN'")
    for name in names:
        if not isinstance(name, str) or name.removeprefix("CAP_") not in CAPABILITIES:
            near = get_close_matches(str(name), [f"CAP_{known}" for known in CAPABILITIES], 3, 0.5)
            raise LookupError(f"there is no capability {name!r}" + (f"; perhaps {', '.join(near)}" if near else ""))

    def lack() -> str | None:
        try:
            held = capget().effective
        except OSError as error:
            return f"needs {', '.join(names)}, and what this process has is not told: {error.strerror}"
        for name in names:
            short = name.removeprefix("CAP_")
            if not held >> CAPABILITIES.index(short) & 1:
                return f"needs CAP_{short}, which this process does not have"
            if short in _TRIALS and (refusal := trial(_TRIALS[short])) is not None:
                return f"needs CAP_{short}, which this process has in name only: {refusal.strerror}"
        return None

    return lack


def requires_kernel(version: str) -> Lack:
    """A kernel of that version or a newer one."""
    if not isinstance(version, str):
        raise TypeError(f"the version must be text like '5.10', not {version!r}")
    kernel_is_older(version)  # refuses what is no version

    def lack() -> str | None:
        return f"needs Linux {version}, and this is {os.uname().release}" if kernel_is_older(version) else None

    return lack


REQUIREMENTS: dict[str, Callable[..., Lack]] = {
    each.__name__: each for each in (requires_shm, requires_limit, requires_capability, requires_kernel)
}


def _raise_a_hard_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.prlimit(0, resource.RLIMIT_CORE, (0, 1))  # setrlimit() of the stdlib has a ValueError for the refusal


def _lock_a_page_beyond_the_limit() -> None:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    map_locked = 0x2000
    mmap(-1, 1, flags=MAP_PRIVATE | MAP_ANONYMOUS | map_locked)


def _attach_what_has_no_mode() -> None:
    segment = shmget(IPC_PRIVATE, 1, 0)
    try:
        shmat(segment, None, SHM_RDONLY)
    finally:
        shmctl_rmid(segment)


# What only the holder of a capability may do, and nothing comes of in a child.
_TRIALS: dict[str, Callable[[], Any]] = {
    "SYS_ADMIN": lambda: unshare(CLONE_NEWIPC),
    "SYS_RESOURCE": _raise_a_hard_limit,
    "SYS_CHROOT": lambda: os.chroot("/"),
    "IPC_OWNER": _attach_what_has_no_mode,
    "IPC_LOCK": _lock_a_page_beyond_the_limit,
    "SETUID": lambda: os.setuid(1),
    "SETGID": lambda: os.setgid(1),
    "NET_RAW": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
}


def _size(size: float | str) -> float:
    """A number, or text like "256M" for so many KiB, MiB, GiB or TiB."""
    if isinstance(size, str) and (found := _SIZE.fullmatch(size.strip())):
        return int(found[1]) << 10 * _UNITS.index(found[2].upper())
    if isinstance(size, (str, bool)) or not isinstance(size, (int, float)):
        raise TypeError(f"{size!r} is no number: a number like 100, or text like '256M'")
    if math.isnan(size) or size < 0:
        raise ValueError(f"{size!r} is no number from 0 on")
    return size


def _amount(size: float) -> str:
    """A size in bytes as people say it."""
    if math.isinf(size):
        return "no limit"
    number, unit = float(size), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.4g} {_UNITS[unit]}iB" if unit else f"{int(size)} bytes"


def _number(value: float) -> str:
    return "no limit" if math.isinf(value) else f"{value:.15g}"
