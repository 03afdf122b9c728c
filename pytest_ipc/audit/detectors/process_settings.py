"""Umask, working directory, resource limits and environment that a test has changed."""

from __future__ import annotations

import resource
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from ...unpatched import os
from ..leak import Detector, Snapshot
from ..one_round import once
from ..own_status import own_status

__all__ = ["DETECTORS"]


class _Settings(Detector):
    """Settings: a leak is one that has another value than before."""

    _listed: Snapshot = MappingProxyType({})

    def _remembered(self, name: str, value: Any) -> Snapshot:
        """Return the snapshot of a single setting, the same object while its value does not change."""
        if self._listed.get(name) != value:
            self._listed = {name: value}
        return self._listed

    def differences(self, before: Snapshot, after: Snapshot) -> Iterator[Hashable]:
        """Yield what has changed."""
        yield from (key for key in after if before.get(key) != after[key])
        yield from (key for key in before if key not in after)

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the values before and now."""
        return f"{key} was {before.get(key)}, is {after.get(key)}"


class Umask(_Settings):
    """The file mode creation mask (umask(2))."""

    kind = "umask"
    outlasts = True

    def snapshot(self) -> Snapshot:
        """Return the mask. The call would set another, and a thread might create a file before the mask is set again.

        Before Linux 4.7 there is no other way.
        """
        mask = None
        with suppress(OSError):  # there is no /proc
            mask = once(own_status).umask
        if mask is None:
            mask = os.umask(0o077)
            os.umask(mask)
        return self._remembered("the umask", f"{mask:#05o}")

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return f"os.umask({before[key]}) restores it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Set the former mask."""
        os.umask(int(before[key], 8))
        return True


class WorkingDirectory(_Settings):
    """The current directory (chdir(2))."""

    kind = "working-directory"
    outlasts = True

    def snapshot(self) -> Snapshot:
        """Return its path."""
        try:
            path = os.getcwd()
        except OSError:  # it is removed, or not reachable from the root
            path = os.readlink("/proc/self/cwd")
        return self._remembered("the working directory", path)

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return f"os.chdir({before[key]!r}) restores it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Go back."""
        os.chdir(before[key])
        return True


class Rlimits(_Settings):
    """The resource limits (getrlimit(2)), soft and hard."""

    kind = "rlimits"
    outlasts = True

    def __init__(self) -> None:
        self._values: tuple[tuple[int, int], ...] = ()

    def snapshot(self) -> Snapshot:
        """Return the limits by name."""
        values = tuple(map(resource.getrlimit, _LIMITS.values()))
        if values != self._values:
            self._values, self._listed = values, dict(zip(_LIMITS, values, strict=True))
        return self._listed

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the call."""
        return f"resource.setrlimit(resource.{key}, {before[key]}) restores it"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Set the former limits. PermissionError if a hard limit must be raised without CAP_SYS_RESOURCE."""
        resource.setrlimit(_LIMITS[str(key)], before[key])
        return True


class Environment(_Settings):
    """The environment variables of Python (os.environ), except the one that pytest itself sets for each test."""

    kind = "environment"
    outlasts = True

    def snapshot(self) -> Snapshot:
        """Return the variables."""
        # The dictionary inside, which is encoded already; its public views encode each variable again.
        variables: Any = getattr(os.environ, "_data", None) or os.environb
        found: dict[Hashable, bytes] = dict(variables)
        found.pop(b"PYTEST_CURRENT_TEST", None)
        if self._listed != found:
            self._listed = found
        return self._listed

    def describe(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the variable, without its value, which may be a secret."""
        what = "added" if key not in before else "removed" if key not in after else "changed"
        return f"the environment variable {_decoded(key)} was {what}"

    def remedy(self, key: Hashable, before: Snapshot, after: Snapshot) -> str:
        """Return the fixture."""
        return "monkeypatch.setenv() restores it by itself"

    def restore(self, key: Hashable, before: Snapshot, after: Snapshot) -> bool:
        """Set or remove the variable."""
        if key in before:
            os.environ[_decoded(key)] = os.fsdecode(before[key])
        else:
            os.environ.pop(_decoded(key), None)
        return True


def _decoded(key: Hashable) -> str:
    assert isinstance(key, bytes)
    return os.fsdecode(key)


_LIMITS = {
    name: getattr(resource, name)
    for name in sorted(dir(resource))
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
}

DETECTORS: dict[str, Callable[[], Detector]] = {
    "umask": Umask,
    "working-directory": WorkingDirectory,
    "rlimits": Rlimits,
    "environment": Environment,
}
