"""A process with the interposed libc that has loaded the suite, and forks a check for each fault on its input.

    LD_PRELOAD=faults.so python -m tests.fault_injection.fault_server PATIENCE

A check of two clauses takes some hundredths of a second; starting Python and loading the suite takes ten times as long,
and there are hundreds of faults. Each line of the input is a JSON object: `fault`, `clauses`, and the files `report`
and `log`; the answer is the line "done". Every check has its own process, and its own IPC namespace if permitted, so
that the damage and the leaks of a fault end with it. PATIENCE is a factor of all deadlines on this platform: under a
fault many of them pass, one after another.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import sys
from contextlib import redirect_stdout, suppress
from functools import partial
from typing import Any

import pytest

from pytest_ipc.cli import main as pytest_ipc
from pytest_ipc.kernel import CLONE_NEWIPC, Deadline, unshare
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.platform import describe
from pytest_ipc.verdict.reports import terminal, writer
from pytest_ipc.verdict.runner import run, speed

LOADED = (describe, writer, run, terminal)  # what a check imports when it is made
PATIENCE = 90.0  # seconds for one check; a clause that hangs under a fault has 60


def set_patience(factor: float) -> None:
    """Make all deadlines of the suite *factor* times as long, before it is imported."""
    measured = speed.slowness()

    def scaled() -> float:
        return factor * measured

    for module in (speed, run):
        vars(module)["slowness"] = scaled


def load() -> None:
    """Import the suite as pytest does."""
    root = suite.location()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = [
        f"-p{name}"
        for name in ("pytest_ipc.plugin.hooks", "pytest_timeout", "xdist.plugin", "_hypothesis_pytestplugin")
    ]
    with redirect_stdout(io.StringIO()) as said:
        status = pytest.main(
            [*plugins, "-pno:cacheprovider", "-c", os.devnull, f"--rootdir={root}", "--collect-only", "-q", str(root)]
        )
    if status:
        sys.exit(said.getvalue())
    suite.clauses(root)
    gc.freeze()  # these objects stay, and need not be examined at the end of every check


def check(task: dict[str, Any]) -> None:
    """Run one check in the child, and exit."""
    os.setpgid(0, 0)
    log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for fd in (1, 2):
        os.dup2(log, fd)
    with suppress(OSError):
        unshare(CLONE_NEWIPC)
    if task["fault"]:
        os.environ["FAULT"] = task["fault"]
    status = 70
    try:
        status = pytest_ipc(["check", "--report", task["report"], *task["clauses"]])
        sys.stdout.flush()
    finally:
        os._exit(status)


def has_ended(child: int) -> bool:
    """Return whether the child has ended; then it is reaped."""
    return os.waitpid(child, os.WNOHANG)[0] == child


def main() -> None:
    """Check after check, as they are asked for."""
    set_patience(float(sys.argv[1]))
    load()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            check(json.loads(line))
        ended = Deadline(PATIENCE).until(partial(has_ended, child))
        if not ended:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        print("done", flush=True)


if __name__ == "__main__":
    main()
