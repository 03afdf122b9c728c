"""Copies of stdlib modules that no patch reaches, not even an earlier one (`python -m gevent.monkey`).

Tests replace `os.getpid`, `time.monotonic`, `open` or all of `os` (monkeypatch, mock, freezegun, pyfakefs, gevent).
Code that decides whether an object may be removed, whether a deadline has passed or in which process it runs must not
use such a replacement, so it imports these modules from here instead of from the stdlib.

A copy is a module object with its own namespace. Its Python functions look up their globals in the copy, so
`os.path.isdir()` uses the copy's `os.stat`. Tools that replace modules by name (pyfakefs) or functions by identity
(freezegun) do not find it, because it is neither in sys.modules nor named like the original. C functions come from new
instances of their modules, and the original of a replaced class is found among the subclasses of its base.

This package's modules are imported when a test requests a fixture, perhaps after it has replaced `os.path.exists`,
which import hooks may call (pytest's assertion rewriting). So they are found without those hooks.

One call is excluded on purpose: children exit by the current `os._exit`, which coverage replaces to save its data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fcntl as fcntl
    import io as io
    import json as json
    import os as os
    import select as select
    import signal as signal
    import socket as socket
    import subprocess as subprocess
    import time as time
else:
    import os  # before genericpath, which it imports: in the other order the imports are circular on Python 3.13

    # isort: split
    import fcntl
    import genericpath
    import io
    import json
    import posix
    import posixpath
    import select
    import signal
    import sys
    import time
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec
    from types import BuiltinFunctionType, FunctionType, ModuleType

    def _new(module: ModuleType) -> ModuleType:
        """Return a new, unpatched instance of a module written in C."""
        try:
            new = module_from_spec(module.__spec__)
            module.__spec__.loader.exec_module(new)
        except (AttributeError, ImportError):
            return module
        return new

    def _copy(module: ModuleType, **others: ModuleType) -> ModuleType:
        """Return a copy of *module* whose functions use the copy's globals; *others* replace modules of those names."""
        copy = ModuleType(f"{__name__}.{module.__name__}", module.__doc__)
        names, originals = vars(copy), vars(module)
        names.update(originals | names)
        # A list, not a generator, and no isinstance(): every run of pytest copies 1,500 names.
        for name, value in [pair for pair in originals.items() if type(pair[1]) is FunctionType]:
            if value.__globals__ is originals:
                own = FunctionType(value.__code__, names, value.__name__, value.__defaults__, value.__closure__)
                own.__kwdefaults__, own.__doc__ = value.__kwdefaults__, value.__doc__
                names[name] = own
        names.update(others)
        return copy

    io = _copy(io)
    os = _copy(os, io=io)
    _names = vars(os)
    _names.update(
        {name: value for name, value in vars(posix).items() if type(value) is BuiltinFunctionType and name in _names}
    )
    _generic = _copy(genericpath, os=os)
    os.path = _copy(posixpath, os=os, genericpath=_generic)
    # posixpath imports these from genericpath by `import *`.
    vars(os.path).update((name, getattr(_generic, name)) for name in genericpath.__all__)
    fcntl, json, select, signal, time = map(_copy, (fcntl, json, _new(select), signal, _new(time)))
    del genericpath, posix, posixpath, _generic, _names

    class _OurModules:
        """Find the modules of this package by PathFinder, before any other hook in sys.meta_path."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> object:
            if name.startswith("pytest_ipc."):
                return PathFinder.find_spec(name, path, target)
            return None

    sys.meta_path.insert(0, _OurModules)

    def __getattr__(name: str) -> ModuleType:
        # Modules that pytest does not load itself.
        made = {"socket": _own_socket, "subprocess": _own_subprocess}
        if name not in made:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = own = made[name]()
        return own

    def _own_subprocess() -> ModuleType:
        spec = PathFinder.find_spec("subprocess")
        own = module_from_spec(spec)
        spec.loader.exec_module(own)
        own.__name__ = f"{__name__}.subprocess"
        modules = {"fcntl": fcntl, "io": io, "os": os, "select": select, "signal": signal, "time": time}
        vars(own).update((each, copy) for each, copy in modules.items() if each in vars(own))
        return own

    def _own_socket() -> ModuleType:
        import _socket
        import socket

        own = _copy(socket)
        for found in _socket.socket.__subclasses__():
            if (found.__module__, found.__qualname__) == ("socket", "socket"):
                own.socket = found

        def socketpair(
            family: int = socket.AF_UNIX, type: int = socket.SOCK_STREAM, proto: int = 0
        ) -> tuple[object, ...]:
            return tuple(
                own.socket(family, type, proto, end.detach()) for end in _socket.socketpair(family, type, proto)
            )

        own.socketpair = socketpair
        return own
