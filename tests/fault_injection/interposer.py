"""Inject faults into the suite: compile the interposer, and have a process that loads it run one check at a time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..subprocesses import Running
from .table import SOURCES

COMPILER = shutil.which("cc") or shutil.which("gcc")

# Texts that a deviation must not contain: assertions as pytest shows them, cut values, addresses, Python's own texts.
_NOT_WORDS = re.compile(r"^assert\b|AssertionError|Traceback|\[Errno|DID NOT RAISE|\.\.\.|\bat 0x")
_PICTURE = re.compile(r"'[.rw]+'")  # of locks, in which a full stop is a byte without one

Interposer = subprocess.Popen[str]
Verdicts = dict[str, dict[str, str]]


def compiled(folder: Path, sources: Sequence[Path] = SOURCES) -> Path:
    """Compile the faults, or other *sources*, into *folder*. Raises FileNotFoundError without a compiler."""
    if COMPILER is None:
        raise FileNotFoundError("needs a C compiler, cc or gcc")
    library = folder / "faults.so"
    options = ["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    libraries = ["-ldl", "-lrt", "-pthread"]
    subprocess.run([COMPILER, *options, "-o", library, *sources, *libraries], check=True, timeout=60)
    return library


@contextmanager
def interposed(shim: Path, patience: float = 1.0) -> Iterator[Interposer]:
    """Run the process that forks the checks; *patience* is a factor of their deadlines."""
    command = [sys.executable, "-m", "tests.fault_injection.fault_server", str(patience)]
    environment = os.environ | {"LD_PRELOAD": str(shim)}
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    with Running(command, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.communicate(timeout=60)


def wordless(found: Verdicts) -> dict[str, str]:
    """Return the deviations that do not describe in words what was expected and what was observed."""
    texts = {
        f"{id}, {name}": verdict[name]
        for id, verdict in found.items()
        for name in ("expected", "observed")
        if verdict["verdict"] == "deviates"
    }
    return {where: text for where, text in texts.items() if not text or _NOT_WORDS.search(_PICTURE.sub("", text))}


def judged(process: Interposer, fault: str | None, clauses: list[str], folder: Path) -> Verdicts:
    """Return the verdicts on *clauses* under one fault, or none.

    Raises AssertionError, with the log, without a report.
    """
    report, log = folder / "report.json", folder / "log"
    report.unlink(missing_ok=True)
    task = {"fault": fault, "clauses": clauses, "report": str(report), "log": str(log)}
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    assert report.exists(), log.read_text()
    return {found["id"]: found for found in json.loads(report.read_text())["clauses"]}
