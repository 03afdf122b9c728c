"""Count the clauses of whose deviation `pytest-ipc reproduce` makes a program that shows it.

    python -m tests.fault_injection.reproducers [--python] [MECHANISM...]

Each fault is injected into the clauses of its row; of each deviation a program is made, compiled and run with the fault
and without: its exit status must be 1 and 0. The output ends with the number of clauses for which that is so, the
reasons why there is no program, and the programs that show nothing. Not a test of every run: it takes an hour. It needs
a C compiler and, as the other fault injection tests, root.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_ipc.verdict.commands.reproduce import program
from pytest_ipc.verdict.reproduce.steps import Missing
from pytest_ipc.verdict.reproduce.text import Words

from .interposer import COMPILER, compiled, interposed, judged
from .table import FAULTS
from .table import SOURCES as FAULT_SOURCES

OPTIONS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1")


def made(verdict: dict[str, Any], *, is_python: bool) -> str:
    """Return the program of a deviation, from its entry in a report. Missing."""
    if "trace" not in verdict:
        raise Missing("the calls: they are too many")
    source = f"{verdict['page']}, {verdict['section']}"
    words = Words(
        verdict["id"], source, verdict["statement"], verdict["expected"], verdict["observed"], "the interposer"
    )
    return program(verdict["trace"], words, is_python=is_python)


def command_of(source: str, folder: Path, *, is_python: bool) -> list[str]:
    """Write the program to *folder* and return the command that runs it. CalledProcessError if it is not valid C."""
    if is_python:
        path = folder / "repro.py"
        path.write_text(source)
        return [sys.executable, "-I", str(path)]
    path = folder / "repro.c"
    path.write_text(source)
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, *OPTIONS, "-o", folder / "repro", path, "-lrt", "-pthread"],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    return [str(folder / "repro")]


def run(command: list[str], shim: Path | None = None, fault: str = "") -> tuple[int, str]:
    """Run a program, under a fault if one is given; return its exit status and output."""
    environment = dict(os.environ)
    if shim is not None:
        environment |= {"LD_PRELOAD": str(shim), "FAULT": fault}
    done = subprocess.run(command, env=environment, timeout=120, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main(arguments: list[str]) -> None:
    """Try every fault of the mechanisms, and print the numbers."""
    is_python = "--python" in arguments
    mechanisms = {argument for argument in arguments if not argument.startswith("-")}
    shown, tried, lacks = set[str](), set[str](), dict[str, str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shim = compiled(folder, FAULT_SOURCES)
        with interposed(shim, patience=0.3) as process:
            for fault, clauses in FAULTS.items():
                wanted = [id for id in clauses if not mechanisms or id.partition(".")[0] in mechanisms]
                wanted = [id for id in wanted if id not in shown]  # one program for each clause
                try:
                    found = judged(process, fault, wanted, folder) if wanted else {}
                except AssertionError:
                    print(f"{fault}: no report", flush=True)
                    continue
                for id, verdict in found.items():
                    if verdict["verdict"] != "deviates":
                        continue
                    tried.add(id)
                    try:
                        command = command_of(made(verdict, is_python=is_python), folder, is_python=is_python)
                    except Missing as lack:
                        lacks[id] = re.sub(r"\d+", "N", str(lack))
                        print(f"{fault}, {id}: the report lacks {lack}", flush=True)
                        continue
                    except subprocess.CalledProcessError as error:
                        lacks[id] = "(it does not compile)"
                        print(f"{fault}, {id}: {error.stderr[:500]}", flush=True)
                        continue
                    try:
                        without, with_it = run(command), run(command, shim, fault)
                    except subprocess.TimeoutExpired:
                        lacks[id] = "(it does not end)"
                        print(f"{fault}, {id}: does not end", flush=True)
                        continue
                    if (without[0], with_it[0]) == (0, 1):
                        shown.add(id)
                    else:
                        lacks[id] = f"(exit status {without[0]} without the fault, {with_it[0]} with it)"
                        print(f"{fault}, {id}: {without[0]} without, {with_it[0]} with the fault", flush=True)
    for reason, number in Counter(reason for id, reason in lacks.items() if id not in shown).most_common():
        print(f"{number:4} {reason}")
    print(f"{len(shown)} of {len(tried)} clauses that deviate have a program that shows it")


if __name__ == "__main__":
    main(sys.argv[1:])
