"""The floor: floor.c, compiled at the first use and loaded into this process, so that a fork copies the same memory."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .clock import Sample, Stopwatch, Way

__all__ = ["floor"]


def floor(name: str) -> dict[str, Way]:
    """Return the way "floor" of the function floor_*name*, or none where there is no C compiler."""
    if (library := _library()) is None:
        return {}
    function = library[f"floor_{name}"]
    function.argtypes = [ctypes.c_long]

    def way(loops: int) -> Sample:
        begin = Stopwatch.start()
        error = function(loops)
        sample = begin.stop(loops)
        if error:
            raise OSError(error, f"floor_{name}: {os.strerror(error)}")
        return sample

    return {"floor": way}


@cache
def _library() -> ctypes.CDLL | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "floor.so")
        source = Path(__file__).with_name("floor.c")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-lrt", "-pthread"], check=True)
        return ctypes.CDLL(str(library))
