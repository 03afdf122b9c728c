"""Requirements of a test: memory, a limit, a capability, a kernel version; and why they are unmet, with numbers.

Capabilities are checked by capability bits and, where possible, a trial call: in a user namespace or under a seccomp
filter the bits alone do not suffice, and user ids show nothing.
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


Lack = Callable[[], str | None]  # returns why the requirement is unmet now, or None


def requires_shm(size: int | str) -> Lack:
    """Require *size* free bytes in /dev/shm; an integer, or text such as "64M"."""
    needed = _size(size)

    def lack() -> str | None:
        free = read_limit("/dev/shm free")
        if free.value is None:
            return f"needs {_amount(needed)} free in /dev/shm, which is not available: {free.reason}"
        if free.value < needed:
            return f"needs {_amount(needed)} free in /dev/shm, which has {_amount(free.value)}"
        return None

    return lack


def requires_limit(name: str, at_least: float | str | None = None, *, at_most: float | str | None = None) -> Lack:
    """Require that the limit *name* of limits() is within bounds."""
    if not isinstance(name, str) or name not in (known := limits()):
        near = get_close_matches(str(name), known := limits(), 3, 0.5) or known
        raise LookupError(f"there is no limit {name!r}; perhaps {', '.join(near)}")
    if at_least is None and at_most is None:
        raise TypeError("requires_limit needs at_least, at_most or both")
    least = -math.inf if at_least is None else _size(at_least)
    most = math.inf if at_most is None else _size(at_most)

    def lack() -> str | None:
        limit = read_limit(name)
        bound = f"at least {_number(least)}" if at_least is not None else f"at most {_number(most)}"
        if at_least is not None and at_most is not None:
            bound += f" and at most {_number(most)}"
        if limit.value is None:
            return f"needs {name} of {bound} {limit.unit}, which is not available: {limit.reason}"
        if not least <= limit.value <= most:
            return f"needs {name} of {bound} {limit.unit}, not {_number(limit.value)}"
        return None

    return lack


def requires_capability(*names: str) -> Lack:
    """Require all the named capabilities; see capabilities(7)."""
    if not names:
        raise TypeError("requires_capability needs at least one name, such as 'CAP_SYS_ADMIN'")
    for name in names:
        if not isinstance(name, str) or name.removeprefix("CAP_") not in CAPABILITIES:
            near = get_close_matches(str(name), [f"CAP_{known}" for known in CAPABILITIES], 3, 0.5)
            raise LookupError(f"there is no capability {name!r}" + (f"; perhaps {', '.join(near)}" if near else ""))

    def lack() -> str | None:
        try:
            held = capget().effective
        except OSError as error:
            return f"needs {', '.join(names)}, and capget(2) fails: {error.strerror}"
        for name in names:
            short = name.removeprefix("CAP_")
            if not held >> CAPABILITIES.index(short) & 1:
                return f"needs CAP_{short}, which this process does not have"
            if short in _TRIALS and (refusal := trial(_TRIALS[short])) is not None:
                return f"needs CAP_{short}, which is set, but a trial call fails: {refusal.strerror}"
        return None

    return lack


def requires_kernel(version: str) -> Lack:
    """Require Linux *version* or newer, such as "5.10"."""
    if not isinstance(version, str):
        raise TypeError(f"the version must be text like '5.10', not {version!r}")
    kernel_is_older(version)  # raises for an invalid version

    def lack() -> str | None:
        return f"needs Linux {version}, not {os.uname().release}" if kernel_is_older(version) else None

    return lack


REQUIREMENTS: dict[str, Callable[..., Lack]] = {
    each.__name__: each for each in (requires_shm, requires_limit, requires_capability, requires_kernel)
}


def _raise_a_hard_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The stdlib's setrlimit() raises ValueError instead of PermissionError.
    resource.prlimit(0, resource.RLIMIT_CORE, (0, 1))


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


# Calls that need the capability and have no lasting effect in a child.
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
    """Return a number, given as such or as text like "256M" in KiB, MiB, GiB or TiB."""
    if isinstance(size, str) and (found := _SIZE.fullmatch(size.strip())):
        return int(found[1]) << 10 * _UNITS.index(found[2].upper())
    if isinstance(size, (str, bool)) or not isinstance(size, (int, float)):
        raise TypeError(f"the amount must be a number like 100 or text like '256M', not {size!r}")
    if math.isnan(size) or size < 0:
        raise ValueError(f"the amount must be a non-negative number, not {size!r}")
    return size


def _amount(size: float) -> str:
    """Return a size in bytes as readable text."""
    if math.isinf(size):
        return "no limit"
    number, unit = float(size), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.4g} {_UNITS[unit]}iB" if unit else f"{int(size)} bytes"


def _number(value: float) -> str:
    return "no limit" if math.isinf(value) else f"{value:.15g}"
