"""pytest-ipc: IPC objects that cannot outlive their test, and a conformance suite for the kernel under them.

The public names are imported when they are first asked for: pytest imports this package in every run, and a run without
IPC does not pay for ctypes. The calls of the kernel are in `pytest_ipc.kernel`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._version import __version__ as __version__
    from .api import *
    from .audit.leak import *
    from .custody.scope import *
    from .kernel.proc_limits import Limit as Limit
    from .kernel.proc_limits import limits as limits
    from .processes.child import *
    from .processes.child_report import *
    from .processes.fork import *
    from .processes.observe import *
    from .processes.program import *
    from .processes.trial import *
    from .resource import *
    from .resources.altstack import *
    from .resources.descriptor import *
    from .resources.eventfd import *
    from .resources.fifo import *
    from .resources.file import *
    from .resources.futex import *
    from .resources.ipc_namespace import *
    from .resources.keys import *
    from .resources.lease import *
    from .resources.listener import *
    from .resources.lock import *
    from .resources.mapping import *
    from .resources.message_queue import *
    from .resources.names import *
    from .resources.pipe import *
    from .resources.posix_queue import *
    from .resources.posix_semaphore import *
    from .resources.reservation import *
    from .resources.segment import *
    from .resources.semaphores import *
    from .resources.shared_memory import *
    from .resources.signalfd import *
    from .resources.signals import *
    from .resources.socket import *
    from .resources.sockets import *
    from .resources.sysv import *
    from .resources.timers import *
    from .resources.two_hosts import *
    from .verdict.clause import *
    from .verdict.need import *

# The module of each public name; equal to the modules' __all__, which a test checks.
_NAMES: dict[str, tuple[str, ...]] = {
    "_version": ("__version__",),
    "api": (
        "Ipc",
        "scope",
    ),
    "audit.leak": (
        "Detector",
        "Leak",
        "Snapshot",
    ),
    "custody.scope": ("Scope",),
    "kernel.proc_limits": (
        "Limit",
        "limits",
    ),
    "processes.child": (
        "Child",
        "ChildDied",
    ),
    "processes.fork": ("Fork",),
    "processes.child_report": ("RemoteError",),
    "processes.observe": (
        "IpcUse",
        "MemoryMap",
        "Observed",
        "observe",
        "wait_until",
    ),
    "processes.program": ("Program",),
    "processes.trial": ("trial",),
    "resource": (
        "DEFAULT",
        "Resource",
        "Timeout",
    ),
    "resources.altstack": ("AlternateStack",),
    "resources.descriptor": ("Descriptor",),
    "resources.eventfd": ("EventFd",),
    "resources.fifo": ("Fifo",),
    "resources.file": ("OwnedFile",),
    "resources.futex": ("Futex",),
    "resources.ipc_namespace": (
        "IpcNamespace",
        "NotAllowedHere",
    ),
    "resources.keys": ("unused_key",),
    "resources.lease": ("Lease",),
    "resources.listener": ("Listener",),
    "resources.lock": ("FileLock",),
    "resources.mapping": ("Mapping",),
    "resources.message_queue": ("MessageQueue",),
    "resources.names": ("unused_name",),
    "resources.pipe": (
        "End",
        "Pipe",
    ),
    "resources.posix_queue": ("PosixQueue",),
    "resources.posix_semaphore": ("PosixSemaphore",),
    "resources.reservation": (
        "ReservedKey",
        "ReservedName",
        "ReservedPath",
    ),
    "resources.segment": (
        "Attachment",
        "Segment",
    ),
    "resources.semaphores": ("SemaphoreSet",),
    "resources.shared_memory": ("SharedMemory",),
    "resources.signalfd": ("SignalFd",),
    "resources.signals": (
        "Caught",
        "Signals",
    ),
    "resources.socket": (
        "Message",
        "Socket",
    ),
    "resources.sockets": ("Sockets",),
    "resources.sysv": (
        "SysvObject",
        "SysvType",
    ),
    "resources.timers": (
        "SignalTimer",
        "TimerFd",
    ),
    "resources.two_hosts": (
        "Host",
        "TwoHosts",
    ),
    "verdict.clause": (
        "Deviation",
        "clause",
        "disputed",
        "fails_with",
        "untested",
    ),
    "verdict.need": ("Need",),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:
    __all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
