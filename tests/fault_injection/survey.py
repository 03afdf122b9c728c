"""Find the clauses that no fault makes fail: such a clause may be asserting nothing, and is reviewed.

    python -m tests.fault_injection.survey [MECHANISM...]

Each fault is injected into those clauses of its mechanisms that no fault has made fail yet, so later faults take less
time. The clauses named in the tables are not tried, as the tests check them. The output ends with the clauses that no
fault made fail, by mechanism, for review: they assert nothing, or lack a fault, or describe what the kernel does
without a call. Not a test: it has no expected result. It needs a C compiler and, as faults leak objects, root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from .interposer import compiled, interposed, judged
from .table import FAULTS
from .test_seccomp import KERNEL_FAULTS


def clauses() -> dict[str, list[str]]:
    """Return the clauses of each mechanism of the suite."""
    command = [sys.executable, "-m", "pytest_ipc", "check", "--list"]
    found: dict[str, list[str]] = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines():
        words = line.split()
        if len(words) == 2 and "." in words[1]:
            found.setdefault(words[0], []).append(words[1])
    return found


def main(chosen: list[str]) -> None:
    """Inject every fault, and print the clauses that none made fail."""
    suite = clauses()
    mechanism_of = {id: mechanism for mechanism, ids in suite.items() for id in ids}
    named = {id for ids in (*FAULTS.values(), *KERNEL_FAULTS.values()) for id in ids}
    left = {id for mechanism in chosen or suite for id in suite[mechanism]} - named
    with tempfile.TemporaryDirectory() as name, interposed(compiled(Path(name))) as process:
        for number, (fault, ids) in enumerate(FAULTS.items(), 1):
            touched = {mechanism_of[id] for id in ids}
            asked = sorted(id for id in left if mechanism_of[id] in touched)
            if not asked:
                continue
            progress = f"[{number}/{len(FAULTS)}] {fault}, {len(asked)} clauses:"
            try:
                verdicts = judged(process, fault, asked, Path(name))
            except AssertionError:
                print(progress, "no report", flush=True)
                continue
            found = sorted(id for id in asked if id in verdicts and verdicts[id]["verdict"] == "deviates")
            print(progress, *(found or ["none"]), flush=True)
            left.difference_update(found)
    for mechanism in chosen or suite:
        uncaught = [id for id in suite[mechanism] if id in left]
        print(f"{mechanism}: {len(uncaught)} of {len(suite[mechanism])} clauses fail under no fault")
        for id in uncaught:
            print(f"  {id}")


if __name__ == "__main__":
    main(sys.argv[1:])
