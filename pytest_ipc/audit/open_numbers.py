"""The numbers of the open descriptors: whether a thousand are still open is asked in the time of a listing of ten."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterable, Mapping

from ..kernel.errnos import EXHAUSTED
from ..unpatched import os, select

__all__ = ["open_numbers"]

_NULL = os.makedev(1, 3)


class _OpenDescriptors:
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


class _Listed:
    """What was found last, in this process: in a child the numbers may refer to other files, which are not polled."""

    process = 0
    numbers: Mapping[str, None] = {}
    descriptors = _OpenDescriptors()


def open_numbers() -> Mapping[str, None]:
    """Return the numbers of the open descriptors, the same object while they do not change. OSError.

    They are listed again unless there are as many as before and each of those is open.
    """
    if _Listed.process != os.getpid():
        _Listed.process, _Listed.numbers, _Listed.descriptors = os.getpid(), {}, _OpenDescriptors()
    # Linux 6.2 shows the number of descriptors as the size of the directory, older kernels 0.
    elif _Listed.numbers and os.stat("/proc/self/fd").st_size == len(_Listed.numbers) and _Listed.descriptors.are_all():
        return _Listed.numbers
    _Listed.numbers = _list()
    _Listed.descriptors.watch(map(int, _Listed.numbers))
    return _Listed.numbers


def _list() -> Mapping[str, None]:
    """Return the numbers, without that of the listing itself, which is the lowest free one."""
    try:
        lowest = os.open("/proc/self/fd", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in EXHAUSTED:
            raise
        return {str(fd): None for fd in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) if _is_open(fd)}
    os.close(lowest)
    found: dict[str, None] = dict.fromkeys(os.listdir("/proc/self/fd"))
    if not _is_open(lowest):
        found.pop(str(lowest), None)
    return found


def _is_open(fd: int) -> bool:
    try:
        os.get_inheritable(fd)
    except OSError as error:
        if error.errno is None:  # a signal's handler raised it
            raise
        return False
    return True
