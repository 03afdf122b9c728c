"""What the fixtures still own: the resources of open scopes. They end with their scope and are not leaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..custody.scope import Scope
from ..resource import Resource

__all__ = ["Owned", "find_owned", "owns_signals"]


@dataclass
class Owned:
    """Descriptors, process ids, thread ids, addresses of mappings, ids and names of objects that fixtures own."""

    descriptors: set[int] = field(default_factory=set)
    processes: set[int] = field(default_factory=set)
    threads: set[int] = field(default_factory=set)
    addresses: set[int] = field(default_factory=set)
    ids: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    signals: bool = False  # a fixture that restores the signal state is in use


def find_owned() -> Owned:
    """Return what the resources of all open scopes of this process own."""
    found = Owned()
    for scope in Scope.all_open():
        for resource in scope.owned():
            _add(found, resource)
    return found


def owns_signals() -> bool:
    """Return whether a fixture that restores the signal state is in use."""
    return any(map(_restores_signals, (resource for scope in Scope.all_open() for resource in scope.owned())))


def _restores_signals(resource: object) -> bool:
    return type(resource).__name__ == "Signals"


def _add(found: Owned, resource: Any) -> None:
    if isinstance(resource, Resource):
        found.descriptors.update(resource.all_descriptors())
    for name, into in (("pid", found.processes), ("address", found.addresses), ("id", found.ids)):
        if isinstance(value := getattr(resource, name, None), int):
            into.add(value)
    found.names.update(text for each in ("name", "path") if isinstance(text := getattr(resource, each, None), str))
    found.signals |= _restores_signals(resource)
