"""Pin the two processes of a measurement to CPUs, where that is allowed."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Pins", "choose", "load_average", "pin"]


@dataclass(frozen=True)
class Pins:
    """The CPUs of the measuring process and of the other one, None without pinning; `said` describes it.

    `allowed` is the number of CPUs that this process may use.
    """

    ours: int | None
    peers: int | None
    said: str
    allowed: int = 1

    @property
    def are_one(self) -> bool:
        """Whether both processes run on one CPU."""
        return self.ours == self.peers if self.ours is not None else self.allowed == 1


def choose() -> Pins:
    """Choose two CPUs of different cores, or else the only one, and try whether this process may be pinned."""
    try:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, allowed)
    except OSError as error:
        return Pins(None, None, f"not pinned: sched_setaffinity: {error.strerror}", os.cpu_count() or 1)
    ours = max(allowed)  # interrupts are mostly on the first ones
    others = sorted(allowed - {ours}, reverse=True)
    if not others:
        return Pins(ours, ours, f"both processes on CPU {ours}, the only one", 1)
    siblings = _siblings(ours)
    peers = next((cpu for cpu in others if cpu not in siblings), others[0])
    shared = ", which are threads of one core" if peers in siblings else ""
    return Pins(ours, peers, f"processes pinned to CPU {ours} and CPU {peers}{shared}", len(allowed))


def _siblings(cpu: int) -> set[int]:
    """Return the CPUs that are threads of the same core, as far as the kernel reports them."""
    found = {cpu}
    with suppress(OSError):  # no /sys: each CPU counts as a core
        text = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
            found.update(range(int(first), int(last or first) + 1))
    return found


def pin(cpu: int | None) -> None:
    """Pin the calling process to *cpu* unless it is None. A refusal is ignored: the figures are then less steady."""
    if cpu is not None:
        with suppress(OSError):  # a sandbox may refuse it
            os.sched_setaffinity(0, {cpu})


def load_average() -> float:
    """Return the load average of the last minute, -1 if the platform does not report it."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return -1.0
