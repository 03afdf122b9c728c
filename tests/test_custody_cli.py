"""`pytest-ipc status` and `pytest-ipc sweep`: what a user finds after a run whose reaper was killed too, and before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline, shmctl_rmid, shmctl_stat

Done = subprocess.CompletedProcess[str]

# Creates a segment and a FIFO, kills its reaper on demand, reports its objects, and waits to be killed.
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
    """Return an environment with its own state directory."""
    for name in ("runtime", "tmp"):
        (tmp_path / name).mkdir(mode=0o700)
    tmp_path.chmod(0o711)
    return os.environ | {"XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "TMPDIR": str(tmp_path / "tmp")}


# Leftovers of other runs in the shared folders are not this test's.
COMMAND = """
import sys
from pytest_ipc.custody import state_paths
state_paths.SHARED, state_paths.RUNTIME = (), ()
from pytest_ipc.cli import main
sys.exit(main())
"""


@pytest.fixture
def command(room: dict[str, str]) -> Callable[..., Done]:
    """Run pytest-ipc in that environment."""

    def run(*arguments: str) -> Done:
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
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


def nothing_in(room: dict[str, str]) -> str:
    return f"nothing was leaked in {room['XDG_RUNTIME_DIR']}/pytest-ipc\n"


def test_nothing_to_report(command, room):
    assert command("sweep").stdout == "nothing was leaked: there is no state directory\n"
    done = command("status")
    assert done.returncode == 0
    assert f"the next run creates {room['XDG_RUNTIME_DIR']}/pytest-ipc" in done.stdout
    assert "no objects are owned" in done.stdout


def test_status_lists_objects_of_a_run(command, owner, room):
    process, id, path = owner("leave the reaper")
    done = command("status")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"ledgers in {room['XDG_RUNTIME_DIR']}/pytest-ipc", f"run of process {process.pid}:"]
    segment = next(line for line in lines if line.startswith("  System V segment"))
    for part in (
        "12345 bytes",
        "tests/test_mine.py::test_one",
        "since 20",
        os.readlink("/proc/self/ns/ipc"),
        str(process.pid),
    ):
        assert part in segment
    assert any(line.startswith(f"  FIFO {path}") for line in lines)
    assert lines[-1] == "2 objects are owned"
    assert command("sweep").stdout == nothing_in(room)
    assert exists(id)
    assert path.exists()


def test_status_of_two_runs_is_grouped_and_json(command, owner, room):
    runs = {process.pid: (id, path) for process, id, path in (owner("leave the reaper"), owner("leave the reaper"))}
    headers = [line for line in command("status").stdout.splitlines() if line.startswith("run of ")]
    assert sorted(headers) == sorted(f"run of process {pid}:" for pid in runs)
    found = json.loads(command("status", "--json").stdout)
    assert (found["places"], found["refused"]) == ([f"{room['XDG_RUNTIME_DIR']}/pytest-ipc"], [])
    assert {run["run"] for run in found["runs"]} == {f"run of process {pid}" for pid in runs}
    for run in found["runs"]:
        objects = {each["kind"]: each for each in run["objects"]}
        assert set(objects) == {"sysv-shm", "fifo"}
        assert {each["state"] for each in run["objects"]} == {"alive"}
        assert objects["sysv-shm"]["test"] == "tests/test_mine.py::test_one"
        assert runs[objects["sysv-shm"]["process"]][1].name in objects["fifo"]["what"]
        assert not objects["sysv-shm"]["is_gone"]


def test_the_reaper_is_quicker_than_any_command(command, owner, room):
    process, id, path = owner("leave the reaper")
    process.kill()
    process.wait()
    assert Deadline(30).until(lambda: not exists(id) and not path.parent.exists())
    assert command("sweep").stdout == nothing_in(room)


def test_a_dead_run_without_a_reaper_is_swept(command, owner, room):
    process, id, path = owner("kill the reaper")
    process.kill()
    process.wait()
    assert "which is dead" in command("status").stdout
    would = command("sweep", "--dry-run")
    assert would.returncode == 0
    assert sorted(line.split(" (")[0].split(", made")[0] for line in would.stdout.splitlines()) == [
        f"  would remove FIFO {path}",
        "  would remove System V segment",
        f"looked in {room['XDG_RUNTIME_DIR']}/pytest-ipc",
        f"run of process {process.pid}:",
    ]
    shown = json.loads(command("sweep", "--dry-run", "--json").stdout)
    assert (shown["removed"], shown["places"], shown["left"]) == (
        False,
        [f"{room['XDG_RUNTIME_DIR']}/pytest-ipc"],
        [],
    )
    assert [(run["run"], len(run["removed"])) for run in shown["runs"]] == [(f"run of process {process.pid}", 2)]
    assert exists(id)
    assert path.exists()
    done = command("sweep")
    assert done.returncode == 0
    assert done.stdout == would.stdout.replace("would remove", "removed")
    assert not exists(id)
    assert not path.parent.exists()
    assert os.listdir(Path(room["XDG_RUNTIME_DIR"]) / "pytest-ipc") == []


def test_object_without_proof_is_kept_and_named(command, owner):
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


def test_untrusted_state_directory_is_one_sentence(command, room):
    home = Path(room["XDG_RUNTIME_DIR"]) / "pytest-ipc"
    home.mkdir(mode=0o700)
    home.chmod(0o777)
    for name in ("status", "sweep"):
        done = command(name)
        assert done.returncode == 2
        assert done.stderr.startswith(f"pytest-ipc: {home}: ")
        assert len(done.stderr.splitlines()) == 1


def test_foreign_segment_with_a_reused_id_is_kept(command, owner, sysv_shm):
    """The ledger of a dead run has an id that is another process's by now."""
    process, id, path = owner("kill the reaper")
    process.kill()
    process.wait()
    shmctl_rmid(id)
    mine = sysv_shm(12345)
    assert command("sweep").returncode == 0
    assert mine.exists()
    assert not path.exists()


def test_every_place_of_the_user_is_looked_through_and_named(command, owner, room):
    """A run without $XDG_RUNTIME_DIR has kept its ledgers in the other place."""
    runtime, temp = f"{room['XDG_RUNTIME_DIR']}/pytest-ipc", f"{room['TMPDIR']}/pytest-ipc-of-{os.geteuid()}"
    kept = room.pop("XDG_RUNTIME_DIR")
    process, id, path = owner("kill the reaper")
    room["XDG_RUNTIME_DIR"] = kept
    process.kill()
    process.wait()
    shown = command("status").stdout.splitlines()
    assert shown[0] == f"ledgers in {temp}"
    assert shown[-1] == "2 objects are owned"
    os.mkdir(runtime, 0o700)
    done = command("sweep")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"looked in {runtime}, {temp}"
    assert not exists(id)
    assert not path.parent.exists()
    assert command("sweep").stdout == f"nothing was leaked in {runtime}, {temp}\n"


def test_another_place_that_cannot_be_trusted_is_named(command, room):
    temp = Path(room["TMPDIR"]) / f"pytest-ipc-of-{os.geteuid()}"
    temp.mkdir()
    temp.chmod(0o777)
    os.mkdir(f"{room['XDG_RUNTIME_DIR']}/pytest-ipc", 0o700)
    done = command("sweep")
    assert done.returncode == 1
    assert f"refused {temp}: the state directory is open to others" in done.stdout
    assert f"refused: {temp}: the state directory is open to others" in command("status").stdout


def odd_names(home: Path) -> list[str]:
    """Fill a directory of ledgers with what is none; the names of what takes a sentence."""
    (home / "1-2.ledger").mkdir()
    (home / "x\x1b[2J\n.ledger").write_text("x")
    (home / "3-4.ledger").symlink_to("/etc/passwd")
    os.mkfifo(home / "5-6.ledger")
    (home / os.fsdecode(b"\xff\xfe.ledger")).touch()
    (home / ".7-8.ledger.swept").mkdir()
    (home / ".9-8.ledger.swept").write_text("[" * 100_000)
    (home / "folder").mkdir()
    os.utime(home / ".7-8.ledger.swept", (1, 1))
    return ["1-2.ledger", "x\\x1b[2J\\n.ledger", "3-4.ledger", "5-6.ledger", "\\udcff\\udcfe.ledger"]


def test_invalid_ledger_is_named_and_skipped(command, owner, room):
    """Folders, links and odd names among the ledgers end no command, and their control characters reach no terminal."""
    process, id, path = owner("kill the reaper")
    process.kill()
    process.wait()
    home = Path(room["XDG_RUNTIME_DIR"]) / "pytest-ipc"
    names = odd_names(home)
    status, done = command("status"), command("sweep")
    for reported in (status, done):
        assert reported.stderr == ""
        assert all(line.isprintable() for line in reported.stdout.splitlines())
        for name in names:
            assert any(line.startswith("refused") and name in line for line in reported.stdout.splitlines()), name
    assert (status.returncode, done.returncode) == (0, 1)
    assert not exists(id)
    assert not path.exists()
