"""The package that is measured, and this harness, for processes that measure either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest_ipc

__all__ = ["PACKAGE", "ROOT", "search_path"]

ROOT = Path(__file__).parents[1]
PACKAGE = Path(pytest_ipc.__file__).parents[1]  # another directory than ROOT for another revision


def search_path(*before: Path, package: Path = PACKAGE) -> dict[str, str]:
    """Return the environment in which a process imports *package*, and this harness."""
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(map(str, (*before, package, ROOT))))}
