"""pytest-ipc: IPC objects that cannot outlive their test, and a conformance suite for the kernel under them.

Everything public can be imported from here. It is looked up when it is first asked for: pytest imports this package in every
run, and a run that uses no fixture should not pay for ctypes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import *
    from .custody.scope import *
    from .kernel.altstack import *
    from .kernel.capability import *
    from .kernel.descriptor import *
    from .kernel.epoll import *
    from .kernel.errnos import *
    from .kernel.eventfds import *
    from .kernel.files import *
    from .kernel.futexes import *
    from .kernel.ipc import *
    from .kernel.leases import *
    from .kernel.libc import *
    from .kernel.locks import *
    from .kernel.locktable import *
    from .kernel.memory import *
    from .kernel.msg import *
    from .kernel.mutex import *
    from .kernel.namespace import *
    from .kernel.pidfd import *
    from .kernel.polling import *
    from .kernel.posix_mq import *
    from .kernel.posix_sem import *
    from .kernel.proc import *
    from .kernel.proc_limits import *
    from .kernel.process import *
    from .kernel.process_vm import *
    from .kernel.rlimits import *
    from .kernel.sem import *
    from .kernel.shm import *
    from .kernel.signalfds import *
    from .kernel.signals import *
    from .kernel.sockets import *
    from .kernel.splicing import *
    from .kernel.stdio import *
    from .kernel.syscalls import *
    from .kernel.threads import *
    from .kernel.timerfd import *
    from .kernel.timers import *
    from .kernel.times import *
    from .kernel.tracing import *
    from .kernel.version import *
    from .kernel.waiting import *
    from .processes.child import *
    from .processes.fork import *
    from .processes.report import *
    from .processes.trial import *
    from .resources.altstack import *
    from .resources.descriptor import *
    from .resources.eventfd import *
    from .resources.fifo import *
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
    from .resources.segment import *
    from .resources.semaphores import *
    from .resources.shared_memory import *
    from .resources.signalfd import *
    from .resources.signals import *
    from .resources.socket import *
    from .resources.timers import *
    from .resources.two_hosts import *
    from .verdict.clause import *

__version__ = "0.1.0"

# Each room's __all__ says what it makes public; a name is declared there and nowhere else.
# They are asked in this order, and the first that has a name ends the search: the kernel's calls come first, for a small program
# that makes one should not load what forks and keeps records, which takes three times as long; verdict.clause comes last because
# it alone imports pytest, which a program that uses scope() or a resource may not have to load.
_ROOMS = (
    "kernel.shm",
    "kernel.sem",
    "kernel.posix_sem",
    "kernel.posix_mq",
    "kernel.msg",
    "kernel.ipc",
    "kernel.descriptor",
    "kernel.splice",
    "kernel.files",
    "kernel.memory",
    "kernel.locks",
    "kernel.leases",
    "kernel.locktable",
    "kernel.capability",
    "kernel.signals",
    "kernel.threads",
    "kernel.altstack",
    "kernel.eventfd",
    "kernel.futex",
    "kernel.pidfd",
    "kernel.signalfd",
    "kernel.timerfd",
    "kernel.timers",
    "kernel.times",
    "kernel.mutex",
    "kernel.poll",
    "kernel.epoll",
    "kernel.sockets",
    "kernel.process",
    "kernel.process_vm",
    "kernel.ptrace",
    "kernel.namespace",
    "kernel.proc",
    "kernel.limits",
    "kernel.rlimits",
    "kernel.stdio",
    "kernel.version",
    "kernel.syscalls",
    "kernel.waiting",
    "kernel.libc",
    "kernel.errnos",
    "factories",
    "forks",
    "actors",
    "remote",
    "trials",
    "custody.scope",
    "resources.keys",
    "resources.names",
    "resources.segment",
    "resources.semaphores",
    "resources.shared_memory",
    "resources.mapping",
    "resources.posix_semaphore",
    "resources.posix_queue",
    "resources.message_queue",
    "resources.pipe",
    "resources.descriptor",
    "resources.eventfd",
    "resources.futex",
    "resources.altstack",
    "resources.timers",
    "resources.signalfd",
    "resources.fifo",
    "resources.lock",
    "resources.lease",
    "resources.socket",
    "resources.listener",
    "resources.two_hosts",
    "resources.signals",
    "resources.ipc_namespace",
    "verdict.clause",
)


# `from . import remote` asks here first. A module is for the import system to find: to look for it in the rooms would
# import a room that may be just about to be imported.
_MODULES = {room.partition(".")[0] for room in _ROOMS}


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name not in _MODULES:
        for room in _ROOMS:
            module = import_module(f"{__name__}.{room}")
            if name in module.__all__:
                globals()[name] = value = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for room in _ROOMS for name in import_module(f"{__name__}.{room}").__all__)})
