"""Random kills of a run of pytest: a program, started by test_random_kills.py.

    python -m tests.custody.random_kills ROOT SEED ROUNDS

In each round a run of pytest, with a pytest-xdist worker or without, makes and removes an object of every kind again
and again, with nested children and daemons. At a random moment two of its processes are killed: pytest, the worker, a
reaper, a child, a daemon, in random pairs. Then what remains of pytest is killed too, and the next sweep comes. For
each round one JSON line is printed: the killed processes, and the leaked objects.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pytest_ipc.kernel import Deadline

from .every_call import own_ground
from .remains import Place

RUN = """
from pytest_ipc import scope
from tests.custody import scenario


def test_everything():
    while True:
        with scope() as ipc:
            scenario.make_everything(ipc)
"""

ROOT = Path(__file__).parents[2]


def role(pid: int, pytest: int) -> str:
    """Return which part in the run a process has."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return "gone"
    if pid == pytest:
        return "pytest"
    if b"custody.reaper" in command:
        return "reaper"
    if b"exec(eval(sys.stdin.readline()))" in command and parent == pytest:
        return "worker"
    return "child"


def kill(pid: int) -> None:
    """SIGKILL, if it still lives."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def try_round(place: Place, chance: random.Random) -> dict[str, object]:
    """Start a run, kill two of its processes and then the rest of pytest, and see what the next sweep leaves of it."""
    (place.path / "test_run.py").write_text(RUN)
    (place.path / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, **place.environment, "PYTHONPATH": str(ROOT)}
    options = ["-p", "xdist", "-n", "1"] if chance.random() < 0.5 else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "pytest_ipc.plugin.hooks",
        "-p",
        "no:cacheprovider",
        "--basetemp=base",
    ]
    with open(place.path / "log", "wb") as log:
        run = subprocess.Popen(
            [*command, *options], cwd=place.path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    workers: list[int] = []
    try:
        assert Deadline(120).until(lambda: bool(place.notes()) or run.poll() is not None)
        assert run.poll() is None, (place.path / "log").read_text()
        time.sleep(chance.uniform(0, 1.5))  # the moment is to be random
        # A worker without its controller is not recognized, and without its reaper it lives on.
        workers = [pid for pid in place.processes() if role(pid, run.pid) == "worker"]
        killed = []
        for _ in range(2):
            by_role: dict[str, list[int]] = {}
            for pid in place.processes():
                by_role.setdefault(role(pid, run.pid), []).append(pid)
            victim = chance.choice(sorted(set(by_role) - {"gone"}) or ["gone"])
            if victim != "gone":
                kill(chance.choice(by_role[victim]))
            killed.append(victim)
            time.sleep(chance.uniform(0, 0.05))
    finally:
        for pid in [run.pid, *workers]:
            kill(pid)
        run.wait()
    # A living reaper does its work; the sweep removes the rest.
    quiet = Deadline(30).until(lambda: "reaper" not in {role(pid, run.pid) for pid in place.processes()})
    sweep = [sys.executable, "-m", "pytest_ipc", "sweep"]
    done = subprocess.run(sweep, cwd=place.path, env=environment, capture_output=True, text=True, check=False)
    spared = {str(place.path / "fifos")}
    left = place.clears(spared)
    if not quiet:
        left["reaper"] = ["is not through"]
    return {"workers": bool(options), "killed": killed, "left": left, "sweep": done.stdout.splitlines() if left else []}


def main() -> None:
    """Try as many rounds as the command line says."""
    root, seed, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    alone = own_ground()
    chance = random.Random(seed)
    for number in range(rounds):
        place = replace(Place.make(root / f"{seed}-{number}"), alone=alone)
        print(json.dumps({"round": number, **try_round(place, chance)}), flush=True)
        shutil.rmtree(place.path, ignore_errors=True)


if __name__ == "__main__":
    main()
