"""Which clauses can any lie make fail? One that none can may be asserting nothing, and is read again.

    python -m tests.fault_injection.survey [MECHANISM...]

Each lie is told to those clauses of the mechanisms it touches that nothing has made fail yet, so a run is shorter the more
has been caught. What the tables name is taken at its word, for the tests check it. At the end stand the clauses that no lie
made fail, by mechanism, which are for a reader: they assert nothing, or lack a lie, or are about what the kernel does without
being called. Not a test: it has no right answer. It needs a C compiler and, as lies leave things behind, root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from .interposer import compiled, judged, liar
from .table import LIES
from .test_seccomp import FAULTS


def clauses() -> dict[str, list[str]]:
    """The suite: of each mechanism its clauses."""
    command = [sys.executable, "-m", "pytest_ipc", "check", "--list"]
    found: dict[str, list[str]] = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines():
        words = line.split()
        if len(words) == 2 and "." in words[1]:
            found.setdefault(words[0], []).append(words[1])
    return found


def main(chosen: list[str]) -> None:
    """Tell every lie, and print what none made fail."""
    suite = clauses()
    mechanism_of = {id: mechanism for mechanism, ids in suite.items() for id in ids}
    named = {id for ids in (*LIES.values(), *FAULTS.values()) for id in ids}
    left = {id for mechanism in chosen or suite for id in suite[mechanism]} - named
    with tempfile.TemporaryDirectory() as name, liar(compiled(Path(name))) as process:
        for number, (lie, ids) in enumerate(LIES.items(), 1):
            touched = {mechanism_of[id] for id in ids}
            asked = sorted(id for id in left if mechanism_of[id] in touched)
            if not asked:
                continue
            told = f"[{number}/{len(LIES)}] {lie}, {len(asked)} clauses:"
            try:
                verdicts = judged(process, lie, asked, Path(name))
            except AssertionError:
                print(told, "came to no end", flush=True)
                continue
            found = sorted(id for id in asked if id in verdicts and verdicts[id]["verdict"] == "deviates")
            print(told, *(found or ["none"]), flush=True)
            left.difference_update(found)
    for mechanism in chosen or suite:
        uncaught = [id for id in suite[mechanism] if id in left]
        print(f"{mechanism}: {len(uncaught)} of {len(suite[mechanism])} clauses were failed by no lie")
        for id in uncaught:
            print(f"  {id}")


if __name__ == "__main__":
    main(sys.argv[1:])
