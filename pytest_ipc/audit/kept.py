"""What libraries keep for the whole process by design, once a test has used them: it is not a leak of that test.

The rule: an object that a library holds in a variable of its own module, reuses, and never gives back before the
process ends. The tables name these variables. What a test holds in variables of its own is a leak, except an executor
of concurrent.futures in a variable of any module or class, which may be a library's.
"""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator
from ctypes import addressof, c_char
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any

from ..custody.cleanup import failures_ignored
from ..kernel.proc import SystemCall, contents, process_syscall
from ..kernel.syscalls import numbers_of
from ..unpatched import os
from .owned import Owned

__all__ = ["add_kept", "is_kept_executor"]

# Objects that count by themselves. What a test has registered with a loop or reactor is the test's.
_OBJECTS = (
    "multiprocessing.resource_tracker:_resource_tracker",
    "multiprocessing.forkserver:_forkserver",
    "loky.backend.resource_tracker:_resource_tracker",
    "joblib.externals.loky.backend.resource_tracker:_resource_tracker",
    # The current loop: another one replaces it, and it ends.
    "asyncio.events:_event_loop_policy._local._loop._selector._selector",
    "asyncio.events:_event_loop_policy._local._loop._ssock",
    "asyncio.events:_event_loop_policy._local._loop._csock",
    "tqdm.std:tqdm.monitor",
    "pytest_ipc.kernel.trace:_memory.obj",  # in which children write down the calls of a clause
    "twisted.internet.reactor:_poller",
    "twisted.internet.reactor:waker.i",
    "twisted.internet.reactor:waker.o",
)
# Objects that count with all that can be reached from them.
_ROOTS = (
    "multiprocessing.heap:BufferWrapper._heap",  # of Value and Array, which allocates pieces of its arenas
    "multiprocessing.resource_sharer:_resource_sharer",
    "loky.reusable_executor:_executor",
    "loky.reusable_executor:_executor_storage",
    "joblib.externals.loky.reusable_executor:_executor",
    "joblib.externals.loky.reusable_executor:_executor_storage",
    "tqdm.std:TqdmDefaultWriteLock.mp_lock",
)
_LIMIT = 20_000  # objects that are followed
_NOT_FOLLOWED = (
    type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, FrameType, GeneratorType, str, bytes, int, float,
)  # fmt: skip


def add_kept(owned: Owned) -> None:
    """Add the descriptors, processes, threads and mappings that libraries keep."""
    for each in map(_value, _OBJECTS):
        _add(owned, each)
    owned.descriptors.update(_attempted(_of_gevent))
    with failures_ignored:  # there are no more descriptors
        _add_helper_of_mq_notify(owned)
    roots = [*map(_value, _ROOTS), *_attempted(_process_pools)]
    seen = set[int]()
    while roots and len(seen) < _LIMIT:
        each = roots.pop()
        if id(each) in seen or isinstance(each, _NOT_FOLLOWED):
            continue
        seen.add(id(each))
        _add(owned, each)
        roots += gc.get_referents(each)
        if isinstance(values := getattr(each, "__dict__", None), dict):
            roots += values.values()


def _value(path: str) -> Any:
    """Return the value of "module:attribute.attribute", or None if it has not been made."""
    module, _, attributes = path.partition(":")
    found: Any = sys.modules.get(module)
    for name in filter(None, attributes.split(".")):
        found = getattr(found, name, None)
    return found


def _attempted(find: Callable[[], Iterator[Any]]) -> list[Any]:
    try:
        return list(find())
    except Exception:  # noqa: BLE001 - another version of the library: its objects are reported
        return []


def _of_gevent() -> Iterator[int]:
    """Yield the descriptors of the loops in C that gevent keeps, one for each thread that uses it."""
    if "gevent.hub" not in sys.modules:
        return
    for hub in (each for each in gc.get_objects() if type(each).__qualname__ == "Hub" and hasattr(each, "loop")):
        epoll = hub.loop.fileno()
        yield epoll
        polled = map(int, re.findall(rb"^tfd: +(\d+)", contents(f"/proc/self/fdinfo/{epoll}"), re.MULTILINE))
        own = [fd for fd in polled if _target(fd).startswith("anon_inode:")]  # other files are a test's
        yield from own
        # The loop has one eventfd, which is polled from its next round on.
        if "anon_inode:[eventfd]" not in map(_target, own):
            others = [fd for fd in map(int, os.listdir("/proc/self/fd")) if _target(fd) == "anon_inode:[eventfd]"]
            if len(others) == 1:
                yield from others


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:
        return ""  # of the listing


def _add_helper_of_mq_notify(owned: Owned) -> None:
    """Add the thread in which glibc waits for all notifications of mq_notify(3), and its socket."""
    known = {thread.native_id for thread in sys.modules["threading"].enumerate()}
    for task in map(int, os.listdir("/proc/self/task")):
        if task in known or not isinstance(call := process_syscall(task), SystemCall):
            continue
        if call.number in numbers_of("recvfrom") and _is_netlink(call.arguments[0]):
            owned.threads.add(task)
            owned.descriptors.add(call.arguments[0])


def _is_netlink(fd: int) -> bool:
    from ..unpatched import socket  # which few runs need

    try:
        with socket.socket(fileno=os.dup(fd)) as own:
            return own.family == socket.AF_NETLINK
    except OSError:
        return False  # not a socket of this process


def _process_pools() -> Iterator[Any]:
    for thread in list(getattr(sys.modules.get("concurrent.futures.process"), "_threads_wakeups", ())):
        executor = thread.executor_reference()
        if executor is not None and is_kept_executor(executor):
            yield executor
            yield thread


def _add(owned: Owned, each: Any) -> None:
    """Add what an object stands for by itself."""
    name = f"{type(each).__module__}.{type(each).__qualname__}"
    try:
        if isinstance(each, int):
            owned.descriptors.add(each)
        elif name == "mmap.mmap":
            owned.addresses.add(addressof(c_char.from_buffer(each)))
        elif name == "_multiprocessing.SemLock":
            owned.addresses.add(each.handle)
            owned.names.add(each.name)
        elif isinstance(getattr(each, "native_id", None), int):
            owned.threads.add(each.native_id)
        elif callable(getattr(type(each), "fileno", None)):
            owned.descriptors.add(each.fileno())
    except Exception:  # noqa: BLE001 - it is closed, or its type has another meaning of the name
        pass
    # Descriptors and process ids that are numbers, by the names of the attributes.
    values = getattr(each, "__dict__", None)
    for attribute, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, int) and value > 2:
            if "fd" in attribute or attribute == "sentinel":
                owned.descriptors.add(value)
            elif attribute.endswith("pid"):
                owned.processes.add(value)


def is_kept_executor(executor: object) -> bool:
    """Return whether an executor of concurrent.futures is kept by a variable of a module or class, or by a loop."""
    modules = {id(vars(module)) for module in list(sys.modules.values()) if isinstance(module, ModuleType)}
    for holder in gc.get_referrers(executor):
        if id(holder) in modules or _default_executor(holder) is executor:
            return True
        if type(holder) is dict and any(isinstance(each, type) for each in gc.get_referrers(holder)):
            return True
    return False


def _default_executor(holder: object) -> object:
    if isinstance(holder, dict):
        return holder.get("_default_executor")
    return getattr(holder, "_default_executor", None)
