"""Whether descriptors are still open, asked for a thousand in the time of one listing of ten."""

from __future__ import annotations

import stat
from collections.abc import Iterable

from ..unpatched import os, select

__all__ = ["OpenDescriptors"]

_NULL = os.makedev(1, 3)


class OpenDescriptors:
    """A set of descriptors.

    poll(2) asks for many at once, but it calls each file's own method, which for /proc/self/mounts ends the
    notification that a test may wait for. So files of other types than the common ones are asked one by one.
    """

    def __init__(self) -> None:
        self._polled = select.poll()
        self._known: dict[int, bool] = {}  # whether poll asks for it
        self._single: list[int] = []

    def watch(self, descriptors: Iterable[int]) -> None:
        """Ask for these descriptors from now on."""
        wanted = set(descriptors)
        for fd in self._known.keys() - wanted:
            if self._known.pop(fd):
                self._polled.unregister(fd)
        for fd in wanted - self._known.keys():
            self._known[fd] = _may_be_polled(fd)
            if self._known[fd]:
                self._polled.register(fd, 0)
        self._single = [fd for fd, polled in self._known.items() if not polled]

    def are_all(self) -> bool:
        """Return whether each is open."""
        try:
            for fd in self._single:
                os.get_inheritable(fd)
            return not any(event & select.POLLNVAL for _, event in self._polled.poll(0))
        except OSError as error:
            if error.errno is None:  # a signal's handler raised it
                raise
            return False  # one is closed, or there are more than RLIMIT_NOFILE allows to poll


def _may_be_polled(fd: int) -> bool:
    try:
        status = os.fstat(fd)
    except OSError:
        return False  # closed by now
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return os.major(status.st_dev) != 0  # of a disk, not of /proc or /sys
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and status.st_rdev == _NULL)
