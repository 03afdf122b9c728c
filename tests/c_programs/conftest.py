"""How the C programs of this folder are compiled and run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child, Fork

Peer = Callable[..., Child[Any]]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compile NAME.c of this folder, once: compiled(NAME) -> the program. Skips without a compiler."""
    folder = tmp_path_factory.mktemp("peers")

    def compile(name: str) -> Path:
        program = folder / name
        if not program.exists():
            compiler = shutil.which("cc")
            if compiler is None:
                pytest.skip("no C compiler: there is no cc on the path")
            source = Path(__file__).with_name(f"{name}.c")
            options = ["-Wall", "-Wextra", "-Werror", "-O1", "-pthread"]
            subprocess.run([compiler, *options, "-o", program, source, "-lrt"], check=True, timeout=60)
        return program

    return compile


@pytest.fixture
def peer(fork: Fork, compiled: Callable[[str], Path]) -> Peer:
    """Run a C program of this folder: peer(name, *args) -> Child, which ends with its test."""

    def run(name: str, *args: object) -> Child[Any]:
        program = compiled(name)
        return fork(os.execv, program, [name, *map(str, args)])

    return run
