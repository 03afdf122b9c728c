"""What the kernel tests share: a C compiler to ask, and a process that believes it runs on another machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from pytest_ipc.kernel import abi, syscalls

Probe = Callable[..., dict[str, int]]


@pytest.fixture
def probe(tmp_path) -> Probe:
    """What C says: probe(headers, {name: expression}) -> {name: value}, less those that the headers do not have.

    A name is asked for only if `needs`, a macro, is defined.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: there is no cc on the path")

    def ask(headers: str, expressions: dict[str, str], needs: Callable[[str], str] | None = None) -> dict[str, int]:
        lines = ["#define _GNU_SOURCE", "#include <stddef.h>", "#include <stdio.h>"]
        lines += [f"#include <{header}>" for header in headers.split()]
        lines.append("int main(void) {")
        for name, expression in expressions.items():
            line = f'printf("{name} %lld\\n", (long long)({expression}));'
            lines += [f"#ifdef {needs(name)}", line, "#endif"] if needs else [line]
        lines.append("return 0; }")
        source, binary = tmp_path / "probe.c", tmp_path / "probe"
        source.write_text("\n".join(lines))
        made = subprocess.run([compiler, "-o", binary, source], capture_output=True, text=True, check=False)
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
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=machine))
        monkeypatch.setattr(syscalls, "counted_as", abi.machine)
        clear()

    yield become
    monkeypatch.undo()
    clear()
