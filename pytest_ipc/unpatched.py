"""Copies of stdlib modules, taken when the plugin is loaded, that no later patch reaches.

Tests replace `os.getpid`, `time.monotonic`, `open` or the whole of `os` (monkeypatch, mock, freezegun, pyfakefs, gevent). What
decides whether an object may be removed, whether a deadline has passed or in which process the code runs must not come from
such a replacement. Everything that makes such a decision imports these modules from here instead of from the stdlib.

A copy is a module object with its own namespace. Its Python functions look up their globals in the copy, so `os.path.isdir()`
uses the copy's `os.stat`. Tools that replace modules by name (pyfakefs) or functions by identity (freezegun) do not find it,
because it is neither in sys.modules nor named like the original.

One call is deliberately left out: a child leaves by the current `os._exit`, which coverage replaces to save its data.
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
    import time as time
else:
    import fcntl
    import genericpath
    import io
    import json
    import os
    import posixpath
    import select
    import signal
    import time
    from types import FunctionType, ModuleType

    def _copy(module: ModuleType, **others: ModuleType) -> ModuleType:
        """Return a copy of *module* whose functions use the copy's globals, with *others* instead of the modules named so."""
        copy = ModuleType(f"{__name__}.{module.__name__}", module.__doc__)
        names = vars(copy)
        names.update((name, value) for name, value in vars(module).items() if name not in names)
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and value.__globals__ is vars(module):
                own = FunctionType(value.__code__, names, value.__name__, value.__defaults__, value.__closure__)
                own.__kwdefaults__, own.__doc__ = value.__kwdefaults__, value.__doc__
                names[name] = own
        names.update(others)
        return copy

    io = _copy(io)
    os = _copy(os, io=io)
    _generic = _copy(genericpath, os=os)
    os.path = _copy(posixpath, os=os, genericpath=_generic)
    # posixpath takes these over from genericpath by `import *`.
    vars(os.path).update((name, getattr(_generic, name)) for name in genericpath.__all__)
    fcntl, json, select, signal, time = map(_copy, (fcntl, json, select, signal, time))
    del genericpath, posixpath, _generic, _copy
