# ruff: noqa: ARG001 - an adapter has the arguments of its call
"""Recorded calls of Python's own modules: os, fcntl, signal, resource, for the trace of a clause (trace.py).

`os` and `signal` here are the unpatched modules with recorded functions, for the resources. `installed` replaces the
functions of the modules that a clause imports, for the time of its trace.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import unpatched
from . import trace
from .trace import Value

__tracebackhide__ = True  # pytest ends a traceback at the line that called

# Of a Python call: the name of the C function, its arguments and its result, from the arguments and the value (None
# if it failed).
Adapter = Callable[..., tuple[str, list[Value], int | None]]

_CLOEXEC = unpatched.os.O_CLOEXEC
_F_DUPFD_CLOEXEC, _F_GETFD, _F_SETFD = 1030, 1, 2


def _bytes(data: Any) -> Value:
    return {"bytes": bytes(data).decode("latin-1")}


def _path(path: Any) -> Value:
    return path if isinstance(path, int) else _bytes(unpatched.os.fsencode(path))


def _plain(name: str) -> Adapter:
    """Return the adapter of a call with integer arguments and an integer or no result."""

    def adapt(value: Any, *arguments: Any) -> tuple[str, list[Value], int | None]:
        return name, [int(argument) for argument in arguments], 0 if value is None else int(value)

    return adapt


def _of_path(name: str) -> Adapter:
    def adapt(value: Any, path: Any, *rest: Any) -> tuple[str, list[Value], int | None]:
        if isinstance(path, int):  # of a descriptor
            return {"chmod": "fchmod", "truncate": "ftruncate"}.get(name, f"os.{name}"), [path, *map(int, rest)], 0
        return name, [_path(path), *map(int, rest)], 0

    return adapt


def _open(value: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> Any:
    return ("open" if dir_fd is None else "os.openat"), [_path(path), flags | _CLOEXEC, mode], value


def _mkfifo(value: Any, path: Any, mode: int = 0o666, *, dir_fd: int | None = None) -> Any:
    return ("mkfifo", [_path(path), mode], 0) if dir_fd is None else ("mkfifoat", [dir_fd, _path(path), mode], 0)


def _mkdir(value: Any, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> Any:
    return "mkdir", [_path(path), mode], 0


def _link(value: Any, source: Any, target: Any, **_more: Any) -> Any:
    return "link", [_path(source), _path(target)], 0


def _read(value: Any, fd: int, size: int) -> Any:
    return "read", [fd, {"out": "bytes"} if value is None else _bytes(value), size], _length(value)


def _pread(value: Any, fd: int, size: int, offset: int) -> Any:
    return "pread", [fd, {"out": "bytes"} if value is None else _bytes(value), size, offset], _length(value)


def _length(value: Any) -> int:
    return 0 if value is None else len(value)


def _write(value: Any, fd: int, data: Any) -> Any:
    return "write", [fd, _bytes(data), len(data)], value


def _pwrite(value: Any, fd: int, data: Any, offset: int) -> Any:
    return "pwrite", [fd, _bytes(data), len(data), offset], value


def _pipe(value: Any, flags: int = _CLOEXEC) -> Any:
    return "pipe2", [{"array": list(value)} if value else {"out": "fd"}, flags], 0


def _dup(value: Any, fd: int) -> Any:
    return "fcntl", [fd, _F_DUPFD_CLOEXEC, 0], value


def _dup2(value: Any, fd: int, fd2: int, inheritable: bool = True) -> Any:
    return ("dup2", [fd, fd2], value) if inheritable else ("dup3", [fd, fd2, _CLOEXEC], value)


def _set_inheritable(value: Any, fd: int, inheritable: bool) -> Any:
    return "fcntl", [fd, _F_SETFD, 0 if inheritable else 1], 0


def _get_inheritable(value: Any, fd: int) -> Any:
    return "fcntl", [fd, _F_GETFD, 0], 0 if value else 1


def _set_blocking(value: Any, fd: int, blocking: bool) -> Any:
    return "os.set_blocking", [fd, int(blocking)], 0


def _waitpid(value: Any, pid: int, options: int) -> Any:
    found, status = value or (0, 0)
    return "waitpid", [pid, {"int": status}, options], found


def _setgroups(value: Any, groups: Any) -> Any:
    return "setgroups", [len(groups), {"array": list(groups)}], 0


def _fcntl(value: Any, fd: Any, cmd: int, arg: Any = 0) -> Any:
    fd = fd if isinstance(fd, int) else fd.fileno()
    if isinstance(arg, int):
        return "fcntl", [fd, cmd, arg], value
    return "fcntl.fcntl", [fd, cmd, _bytes(arg)], 0


def _flock(value: Any, fd: Any, operation: int) -> Any:
    return "flock", [fd if isinstance(fd, int) else fd.fileno(), operation], 0


def _signal(value: Any, signo: int, handler: Any) -> Any:
    known = int(handler) if isinstance(handler, int) else 2
    return "signal", [int(signo), known if known < 2 else {"handler": 0}], 0


def _sigmask(value: Any, how: int, mask: Any) -> Any:
    return "sigmask", [int(how), {"array": sorted(map(int, mask))}], 0


def _setrlimit(value: Any, which: int, limits: tuple[int, int]) -> Any:
    return "setrlimit", [which, {"array": list(limits)}], 0


def _unknown(name: str) -> Adapter:
    """Return the adapter of a call that changes something and cannot be described further."""

    def adapt(value: Any, *_arguments: Any, **_more: Any) -> tuple[str, list[Value], int | None]:
        return name, [], 0

    return adapt


_PLAIN_CALLS = """
    close kill lseek fchmod ftruncate umask setsid setpgid getpgid getsid setuid setgid seteuid setegid setresuid
    setresgid posix_fallocate
""".split()
_OTHER_CALLS = """
    fork posix_spawn posix_spawnp execv execve execvp wait waitid wait4 chdir fchdir chroot chown fchown symlink rename
    tcsetpgrp setreuid setregid readv writev preadv pwritev sendfile splice eventfd memfd_create killpg nice setpriority
    sched_setscheduler sched_setparam login_tty openpty forkpty setxattr
""".split()

_OS: dict[str, Adapter] = {
    "open": _open,
    "mkfifo": _mkfifo,
    "mkdir": _mkdir,
    "link": _link,
    "read": _read,
    "pread": _pread,
    "write": _write,
    "pwrite": _pwrite,
    "pipe": _pipe,
    "pipe2": _pipe,
    "dup": _dup,
    "dup2": _dup2,
    "set_inheritable": _set_inheritable,
    "get_inheritable": _get_inheritable,
    "set_blocking": _set_blocking,
    "waitpid": _waitpid,
    "setgroups": _setgroups,
    **{name: _of_path(name) for name in ("unlink", "rmdir", "chmod", "truncate")},
    "remove": _of_path("unlink"),
    **{name: _plain(name) for name in _PLAIN_CALLS},
    **{name: _unknown(f"os.{name}") for name in _OTHER_CALLS},
}
_SIGNAL: dict[str, Adapter] = {
    "signal": _signal,
    "pthread_sigmask": _sigmask,
    **{name: _unknown(f"signal.{name}") for name in ("setitimer", "alarm", "set_wakeup_fd", "siginterrupt")},
}
_FCNTL: dict[str, Adapter] = {
    "fcntl": _fcntl,
    "flock": _flock,
    "lockf": _unknown("fcntl.lockf"),
    "ioctl": _unknown("fcntl.ioctl"),
}
_RESOURCE: dict[str, Adapter] = {"setrlimit": _setrlimit, "prlimit": _unknown("resource.prlimit")}

_ADAPTERS = {"os": _OS, "signal": _SIGNAL, "fcntl": _FCNTL, "resource": _RESOURCE}


def _recorded(call: Callable[..., Any], adapter: Adapter, arguments: Any, more: Any) -> Any:
    begin = trace.begin(*_adapted(adapter, None, arguments, more)[:2])
    try:
        value = call(*arguments, **more)
    except OSError as error:
        name, values, _ = _adapted(adapter, None, arguments, more)
        trace.add(name, values, -1, error.errno or 0, begin)
        raise
    trace.add(*_adapted(adapter, value, arguments, more), 0, begin)
    return value


def _adapted(adapter: Adapter, value: Any, arguments: Any, more: Any) -> tuple[str, list[Value], int | None]:
    try:
        return adapter(value, *arguments, **more)
    except Exception:  # noqa: BLE001 - arguments that Python accepts in another form
        return f"os call with {len(arguments)} arguments", [], 0


class _Recorded:
    """An unpatched module whose calls are recorded while a trace is on."""

    def __init__(self, module: Any, adapters: dict[str, Adapter]) -> None:
        self._module = module
        for name, adapter in adapters.items():
            setattr(self, name, self._function(name, adapter))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def _function(self, name: str, adapter: Adapter) -> Callable[..., Any]:
        module = self._module

        def recorded(*arguments: Any, **more: Any) -> Any:
            call = getattr(module, name)  # now: it may have been replaced
            return _recorded(call, adapter, arguments, more) if trace.is_on() else call(*arguments, **more)

        return recorded


if TYPE_CHECKING:
    from ..unpatched import fcntl as fcntl
    from ..unpatched import os as os
    from ..unpatched import signal as signal
else:
    os = _Recorded(unpatched.os, _OS)
    signal = _Recorded(unpatched.signal, _SIGNAL)
    fcntl = _Recorded(unpatched.fcntl, _FCNTL)


@contextmanager
def installed() -> Iterator[None]:
    """Record, in the block, what the test's modules call of os, signal, fcntl and resource."""
    replaced: list[tuple[Any, str, Any, Any]] = []
    for name, adapters in _ADAPTERS.items():
        module = import_module(name)
        for function, adapter in adapters.items():
            call = getattr(module, function, None)
            if call is not None:
                new = _wrapper(call, adapter, module.__name__, function)
                setattr(module, function, new)
                replaced.append((module, function, call, new))
    try:
        yield
    finally:
        for module, function, call, new in replaced:
            if getattr(module, function, None) is new:  # the test may have replaced it, and restores it
                setattr(module, function, call)


# Callers whose calls are not the test's.
_OTHERS = (sys.stdlib_module_names | {"_pytest", "pluggy", "pytest", "xdist", "execnet", "hypothesis", "coverage"}) - {
    "__main__"
}


def _wrapper(call: Callable[..., Any], adapter: Adapter, module: str, name: str) -> Callable[..., Any]:
    def recorded(*arguments: Any, **more: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]  # noqa: SLF001 - the caller, quickly
        if caller in _OTHERS or not trace.is_on():
            return call(*arguments, **more)
        return _recorded(call, adapter, arguments, more)

    recorded.__doc__, recorded.__module__ = call.__doc__, module  # pickle finds it under its name
    recorded.__name__ = recorded.__qualname__ = name
    return recorded
