"""Namespaces that a test has entered, and file systems that it has mounted (namespaces(7), mount(2))."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from ...kernel.capability import capget
from ...kernel.listings import mount_ids
from ...kernel.proc import contents
from ...unpatched import os
from ..leak import Detector, Snapshot
from ..one_round import once

__all__ = ["DETECTORS"]

_NAMES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "user", "uts")
_WITHOUT_MOUNTS = tuple(name for name in _NAMES if name != "mnt")
_SYS_ADMIN = 1 << 21  # CAP_SYS_ADMIN


class Namespaces(Detector):
    """The namespaces of the main thread.

    Without CAP_SYS_ADMIN a process can only enter others together with another user namespace. The mount namespace is
    the same as long as its mounts are, where the kernel lists their ids: those of another one are others.
    """

    kind = "namespaces"
    outlasts = True

    def __init__(self) -> None:
        self._names: tuple[str, ...] = _NAMES if _may_enter() else ("user",)
        self._listed: tuple[object, Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return the identity of each."""
        found: dict[Hashable, str] = {}
        names, mounts = self._names, once(mount_ids) if "mnt" in self._names else None
        if mounts and self._listed is not None and self._listed[0] == mounts:
            found["mnt"] = self._listed[1]["mnt"]
            names = _WITHOUT_MOUNTS
        folder = os.open("/proc/self/ns", os.O_PATH | os.O_CLOEXEC)
        try:
            for name in names:
                try:
                    found[name] = os.readlink(name, dir_fd=folder)
                except FileNotFoundError:
                    continue  # a kernel without this type
        finally:
            os.close(folder)
        if self._listed is None or self._listed != (mounts, found):
            self._listed = mounts, found
        return self._listed[1]

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield those that are others now."""
        return (key for key in after if before.get(key) != after[key])

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return type and identity before and now."""
        return f"the {key} namespace was {before.get(key)}, is {after[key]}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the way out."""
        return "enter a namespace in a forked child"


class Mounts(Detector):
    """The mounts of the mount namespace (proc_pid_mountinfo(5)); looked at only if this process may mount at all.

    They are read again only if their ids have changed, where the kernel lists these (Linux 6.8).
    """

    kind = "mounts"
    outlasts = True

    def __init__(self) -> None:
        self._listed: tuple[object, Snapshot] | None = None
        self._may_enter = _may_enter()

    def snapshot(self) -> Snapshot:
        """Return the mounts by mount id and path."""
        if not self._may_enter:
            return {}
        ids = once(mount_ids)
        if self._listed is None or self._listed[0] is None or self._listed[0] != ids:
            self._listed = ids, self._list()
        return self._listed[1]

    @staticmethod
    def _list() -> Snapshot:
        found: dict[Hashable, None] = {os.readlink("/proc/self/ns/mnt"): None}
        return found | dict.fromkeys(contents("/proc/self/mountinfo").splitlines())

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield the new mounts, if this is still the same mount namespace."""
        same = {key for key in before if isinstance(key, str)} == {key for key in after if isinstance(key, str)}
        return (key for key in after if same and key not in before)

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return path and type."""
        return f"mount of {_type(key)} at {_path(key)}"

    def proof(self, key: Hashable, after: Snapshot, origin: object) -> str:
        """Return "": the kernel does not record who mounted it."""
        return ""

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the command."""
        return f"`umount {_path(key)}` removes it"


def _may_enter() -> bool:
    """Return whether this process may enter namespaces and mount: without execve(2) it is never permitted more."""
    return bool(capget().permitted & _SYS_ADMIN)


def _path(key: Hashable) -> str:
    assert isinstance(key, bytes)
    return key.split()[4].decode(errors="replace")


def _type(key: Hashable) -> str:
    assert isinstance(key, bytes)
    return key.partition(b" - ")[2].split()[0].decode(errors="replace")


DETECTORS: dict[str, Callable[[], Detector]] = {"namespaces": Namespaces, "mounts": Mounts}
