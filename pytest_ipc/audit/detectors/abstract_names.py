"""Abstract names of UNIX sockets that a process of the test still holds (unix(7))."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from ...custody.descendants import has_children
from ...kernel.proc import contents, unix_sockets
from ...kernel.usage import may_be_unix_socket
from ...unpatched import os
from ..leak import Detector, Snapshot
from ..one_round import once
from ..open_numbers import open_numbers
from ..origin import Origin
from ..owned import Owned

__all__ = ["DETECTORS"]

_FEW = 16  # whose list takes less time than the statistics
_ASKED = 40  # descriptors that are asked for in less time than the list takes


class AbstractSockets(Detector):
    """Each abstract name of the network namespace with its inode number.

    The list is not read again while this process has no children and no descriptor of a UNIX socket: a name is a leak
    only if a process of the test has its socket open.

    Otherwise, where there are many sockets, the list is read again only if their number has changed. So a name is
    missed there if the test has closed as many sockets as it has opened.
    """

    kind = "abstract-sockets"
    outlasts = True
    settles = True

    def __init__(self) -> None:
        self._listed: tuple[bytes, Snapshot] | None = None
        self._are_few = False

    def snapshot(self) -> Snapshot:
        """Return the names."""
        if self._listed is not None and not _may_hold_names():
            return self._listed[1]
        used = b"" if self._are_few else contents("/proc/self/net/sockstat").partition(b"\n")[0]  # "sockets: used N"
        if self._listed is None or self._listed[0] != used or not used:
            rows = unix_sockets()
            if rows is None:
                contents("/proc/self/net/unix")  # raises the error that hides them, as EMFILE
                rows = []
            self._are_few = len(rows) <= _FEW
            self._listed = (used, {(row.path, row.inode): None for row in rows if row.path.startswith(b"@")})
        return self._listed[1]

    def is_owned(self, key: Hashable, after: Snapshot, owned: Owned) -> bool:
        """Return whether a fixture holds the socket."""
        return any(_inode_of(f"/proc/self/fd/{fd}") == _inode(key) for fd in owned.descriptors)

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the name."""
        assert isinstance(key, tuple)
        return f"abstract UNIX socket {key[0].decode(errors='backslashreplace')}"

    def proof(self, key: Hashable, after: Snapshot, origin: Origin) -> str | None:
        """Return which process of the test has the socket open; None if none has."""
        for pid, name in origin.processes().items():
            try:
                fds = os.listdir(f"/proc/{pid}/fd")
            except OSError:
                continue  # it has ended, or may not be looked into
            if any(_inode_of(f"/proc/{pid}/fd/{fd}") == _inode(key) for fd in fds):
                return f"open in {name}"
        return None

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return how to release it."""
        return "the name is free when its last descriptor is closed"

    def is_held(self, key: Hashable, after: Snapshot) -> bool:
        """Return True."""
        return True


def _may_hold_names() -> bool:
    """Return whether a process of the test may have the socket of a name open."""
    if once(has_children):
        return True
    numbers = once(open_numbers)
    return len(numbers) > _ASKED or any(map(may_be_unix_socket, map(int, numbers)))


def _inode(key: Hashable) -> int:
    assert isinstance(key, tuple)
    return int(key[1])


def _inode_of(path: str) -> int:
    try:
        target = os.readlink(path)
    except OSError:
        return 0
    return int(target[8:-1]) if target.startswith("socket:[") else 0


DETECTORS: dict[str, Callable[[], Detector]] = {"abstract-sockets": AbstractSockets}
