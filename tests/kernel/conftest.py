"""What the kernel tests share: a C compiler to ask, and a process that believes it runs on another machine."""

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
    """What C says: probe(headers, {name: expression}) -> {name: value}, less those that the headers do not have.

    A name is asked for only if `needs`, a macro, is defined. Where musl's compiler is installed it is asked as well.
    """
    compiler = shutil.which(request.param)
    if compiler is None:
        pytest.skip("no C compiler: there is no cc on the path")
    # musl brings no headers of the kernel's: after its own, those of the machine.
    headers_too = [f"-idirafter{path}" for path in ("/usr/include", *glob("/usr/include/*-linux-gnu"))]
    compile = [compiler, *(headers_too if request.param == "musl-gcc" else [])]

    def ask(headers: str, expressions: dict[str, str], needs: Callable[[str], str] | None = None) -> dict[str, int]:
        # Where a compiler takes 64-bit times and offsets for granted on a 32-bit machine, the functions of the plain names
        # still do not.
        lines = [
            "#undef _TIME_BITS",
            "#undef _FILE_OFFSET_BITS",
            "#define _GNU_SOURCE",
            "#include <stddef.h>",
            "#include <stdio.h>",
        ]
        lines += [f"#include <{header}>" for header in headers.split()]
        # glibc has this name only from 2.38 on.
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
            pytest.skip(f"the C headers are not all here: {made.stderr.splitlines()[0]}")
        assert made.returncode == 0, made.stderr
        answer = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
        return {name: int(value) for name, value in map(str.split, answer.splitlines())}

    return ask


@pytest.fixture
def on_machine(monkeypatch) -> Iterator[Callable[[str], None]]:
    """Let this process believe that uname gives another machine, until the test ends."""
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
