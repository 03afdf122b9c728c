"""The leak detectors, one module for each kind or family of kinds, and their table."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from ..leak import Detector

__all__ = ["KINDS", "detectors"]

# The module of each kind. The order is that of reports.
KINDS = {
    "descriptors": "open_descriptors",
    "processes": "child_processes",
    "threads": "running_threads",
    "sysv-shm": "sysv_objects",
    "sysv-sem": "sysv_objects",
    "sysv-msg": "sysv_objects",
    "posix-shm": "posix_names",
    "posix-sem": "posix_names",
    "posix-mq": "posix_names",
    "files": "special_files",
    "abstract-sockets": "abstract_names",
    "mappings": "shared_mappings",
    "locks": "held_locks",
    "dispositions": "signal_settings",
    "signal-mask": "signal_settings",
    "timers": "signal_settings",
    "alternate-stack": "signal_settings",
    "wakeup-fd": "signal_settings",
    "umask": "process_settings",
    "working-directory": "process_settings",
    "rlimits": "process_settings",
    "environment": "process_settings",
    "namespaces": "entered_namespaces",
    "mounts": "entered_namespaces",
}


def detectors(kinds: Iterable[str] = KINDS) -> list[Detector]:
    """Return a new detector for each kind."""
    found = []
    for kind in kinds:
        module = import_module(f".{KINDS[kind]}", __name__)
        found.append(module.DETECTORS[kind]())
    return found
