"""Fixtures of the kernel tests: a C compiler as a reference, and a process that simulates another machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from glob import glob
from types import SimpleNamespace

import pytest

from pytest_ipc import unpatched
from pytest_ipc.kernel import abi, syscalls

Probe = Callable[..., dict[str, int]]


@pytest.fixture(params=[name for name in ("cc", "musl-gcc") if shutil.which(name)] or ["cc"])
def probe(request, tmp_path) -> Probe:
    """Return a function that evaluates C expressions: probe(headers, {name: expression}) -> {name: value}.

    Names that the headers do not define are left out. A name is asked for only if `needs`, a macro, is defined. If
    musl's compiler is installed it is used as well.
    """
    compiler = shutil.which(request.param)
    if compiler is None:
        pytest.skip("no C compiler: cc is not in PATH")
    # musl has no kernel headers: the machine's follow its own.
    headers_too = [f"-idirafter{path}" for path in ("/usr/include", *glob("/usr/include/*-linux-gnu"))]
    compile = [compiler, *(headers_too if request.param == "musl-gcc" else [])]

    def ask(headers: str, expressions: dict[str, str], needs: Callable[[str], str] | None = None) -> dict[str, int]:
        # A compiler may have 64-bit times and offsets by default on a 32-bit machine; the functions of the plain names
        # do not.
        lines = [
            "#undef _TIME_BITS",
            "#undef _FILE_OFFSET_BITS",
            "#define _GNU_SOURCE",
            "#include <stddef.h>",
            "#include <stdio.h>",
        ]
        lines += [f"#include <{header}>" for header in headers.split()]
        # Before glibc 2.38 this name does not exist.
        lines += ["#if defined __GLIBC__ && !defined sigev_notify_thread_id"]
        lines += ["#define sigev_notify_thread_id _sigev_un._tid", "#endif"]
        lines.append("int main(void) {")
        for name, expression in expressions.items():
            line = f'printf("{name} %lld\\n", (long long)({expression}));'
            lines += [f"#ifdef {needs(name)}", line, "#endif"] if needs else [line]
        lines.append("return 0; }")
        source, binary = tmp_path / "probe.c", tmp_path / "probe"
        source.write_text("\n".join(lines))
        made = subprocess.run([*compile, "-o", binary, source], capture_output=True, text=True, check=False)
        if "No such file or directory" in made.stderr:
            pytest.skip(f"C headers are missing: {made.stderr.splitlines()[0]}")
        assert made.returncode == 0, made.stderr
        answer = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
        return {name: int(value) for name, value in map(str.split, answer.splitlines())}

    return ask


@pytest.fixture
def on_machine(monkeypatch) -> Iterator[Callable[[str], None]]:
    """Return a function that makes uname return another machine until the test ends."""
    caches = [thing for module in (abi, syscalls) for thing in vars(module).values() if hasattr(thing, "cache_clear")]

    def clear() -> None:
        for function in caches:
            function.cache_clear()

    def become(machine: str) -> None:
        monkeypatch.setattr(unpatched.os, "uname", lambda: SimpleNamespace(machine=machine))
        monkeypatch.setattr(syscalls, "counted_as", abi.machine)
        clear()

    yield become
    monkeypatch.undo()
    clear()
