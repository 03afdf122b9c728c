"""`pytest-ipc status` and `pytest-ipc sweep`: what a user finds after a run whose reaper was killed too, and before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pytest_ipc import Deadline, shmctl_rmid, shmctl_stat

Done = subprocess.CompletedProcess[str]

# Makes a segment and a FIFO, kills its reaper if it is told to, says what it made, and waits to be killed.
OWNER = """
import os, signal, sys
from pathlib import Path
import pytest_ipc
from pytest_ipc.custody.record import made_by

with pytest_ipc.scope() as ipc:
    made_by.test = "tests/test_mine.py::test_one"
    segment, fifo = ipc.sysv_shm(12345), ipc.fifo()
    if sys.argv[1] == "kill the reaper":
        wanted = {b"-c", str(os.getpid()).encode()}
        killed = False
        while not killed:  # it may not have become the reaper's program yet
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = entry.read_bytes().split(bytes(1))
                except OSError:
                    continue
                if wanted <= set(words) and any(b"custody.reaper" in word for word in words):
                    os.kill(int(entry.parent.name), signal.SIGKILL)
                    killed = True
    print(os.getpid(), segment.id, fifo.path, flush=True)
    signal.pause()
"""


@pytest.fixture
def room(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of ledgers of its own."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    return os.environ | {"XDG_RUNTIME_DIR": str(runtime)}


@pytest.fixture
def command(room: dict[str, str]) -> Callable[..., Done]:
    """Run pytest-ipc in that environment."""

    def run(*arguments: str) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "pytest_ipc", *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=room,
        )

    return run


@pytest.fixture
def owner(room: dict[str, str]) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int, Path]]]:
    """Start a program that owns a segment and a FIFO: the process, the segment's id, the FIFO's path."""
    started = []

    def start(how: str) -> tuple[subprocess.Popen[str], int, Path]:
        process = subprocess.Popen([sys.executable, "-c", OWNER, how], stdout=subprocess.PIPE, text=True, env=room)
        assert process.stdout is not None
        _, id, path = process.stdout.readline().split()
        started.append((process, Path(path)))
        return process, int(id), Path(path)

    yield start
    for process, path in started:
        process.kill()
        process.communicate()
        assert Deadline(30).until(partial(is_gone, path.parent)), "neither reaper nor test has taken it away"


def is_gone(path: Path) -> bool:
    return not path.exists()


def exists(id: int) -> bool:
    try:
        shmctl_stat(id)
    except OSError:
        return False
    return True


def test_nothing_to_tell(command):
    assert command("sweep").stdout == "nothing was left behind\n"
    done = command("status")
    assert done.returncode == 0
    assert "nothing is owned" in done.stdout


def test_status_tells_what_a_run_owns(command, owner, room):
    process, id, path = owner("leave the reaper")
    done = command("status")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"ledgers in {room['XDG_RUNTIME_DIR']}/pytest-ipc"
    segment = next(line for line in lines if line.startswith("System V segment"))
    for part in (
        "12345 bytes",
        "tests/test_mine.py::test_one",
        "since 20",
        os.readlink("/proc/self/ns/ipc"),
        str(process.pid),
    ):
        assert part in segment
    assert any(line.startswith(f"FIFO {path}") for line in lines)
    assert lines[-1] == "2 objects are owned"
    assert command("sweep").stdout == "nothing was left behind\n"
    assert exists(id)
    assert path.exists()


def test_the_reaper_is_quicker_than_any_command(command, owner):
    process, id, path = owner("leave the reaper")
    process.kill()
    process.wait()
    assert Deadline(30).until(lambda: not exists(id) and not path.parent.exists())
    assert command("sweep").stdout == "nothing was left behind\n"


def test_a_dead_run_without_a_reaper_is_swept(command, owner, room):
    process, id, path = owner("kill the reaper")
    process.kill()
    process.wait()
    assert "which is dead" in command("status").stdout
    would = command("sweep", "--dry-run")
    assert would.returncode == 0
    assert sorted(line.split(" (")[0].split(", made")[0] for line in would.stdout.splitlines()) == [
        f"would remove FIFO {path}",
        "would remove System V segment",
    ]
    assert exists(id)
    assert path.exists()
    done = command("sweep")
    assert done.returncode == 0
    assert done.stdout == would.stdout.replace("would remove", "removed")
    assert not exists(id)
    assert not path.parent.exists()
    assert os.listdir(Path(room["XDG_RUNTIME_DIR"]) / "pytest-ipc") == []


def test_what_is_not_proved_is_left_and_named(command, owner):
    process, id, path = owner("kill the reaper")
    process.kill()
    process.wait()
    path.unlink()
    path.write_text("somebody's")
    done = command("sweep")
    assert done.returncode == 1
    assert f"left FIFO {path}, made by tests/test_mine.py::test_one in process {process.pid}: " in done.stdout
    assert not exists(id)
    assert path.read_text() == "somebody's"
    path.unlink()
    path.parent.rmdir()


def test_a_home_that_cannot_be_trusted_is_one_sentence(command, room):
    home = Path(room["XDG_RUNTIME_DIR"]) / "pytest-ipc"
    home.mkdir(mode=0o700)
    home.chmod(0o777)
    for name in ("status", "sweep"):
        done = command(name)
        assert done.returncode == 2
        assert done.stderr.startswith(f"pytest-ipc: {home}: ")
        assert len(done.stderr.splitlines()) == 1


def test_a_foreign_segment_with_a_recycled_id_is_left(command, owner, sysv_shm):
    """The ledger of a dead run names an id that is somebody else's by now."""
    process, id, path = owner("kill the reaper")
    process.kill()
    process.wait()
    shmctl_rmid(id)
    mine = sysv_shm(12345)
    assert command("sweep").returncode == 0
    assert mine.exists()
    assert not path.exists()
