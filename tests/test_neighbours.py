"""Two runs side by side, and two users: neither touches what is the other's, whichever dies first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc import Child
from pytest_ipc.kernel import Deadline, shmctl_stat

# Owns a segment, a FIFO and a child, says so, and waits to be killed or to be told to go.
RUN = """
import os, signal, sys, tempfile
import pytest_ipc

with pytest_ipc.scope() as ipc:
    segment, fifo, child = ipc.sysv_shm(), ipc.fifo(), ipc.fork(signal.pause)
    print(segment.id, fifo.path, child.pid, flush=True)
    sys.stdin.readline()
"""


class Run:
    """A program that owns one object of each kind."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        assert self.process.stdout is not None
        id, path, pid = self.process.stdout.readline().split()
        self.id, self.path, self.pid = int(id), Path(path), int(pid)

    def owns(self) -> tuple[bool, bool, bool]:
        """Return whether segment, FIFO and child are there."""
        try:
            shmctl_stat(self.id)
            segment = True
        except PermissionError:
            segment = True
        except OSError:
            segment = False
        state = pytest_ipc.kernel.process_state(self.pid)
        return segment, self.path.exists(), state is not None and state.state not in "ZX"

    def has(self, *wanted: bool) -> bool:
        return self.owns() == wanted

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start runs that share a home of ledgers, as two runs of one user do."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    runs: list[Run] = []

    def run(*prefix: str, python: str = sys.executable, **environment: str) -> Run:
        shared = os.environ | {"XDG_RUNTIME_DIR": str(runtime)} | environment
        runs.append(Run([*prefix, python, "-c", RUN], shared))
        return runs[-1]

    yield run
    for one in runs:
        one.end()
        assert Deadline(30).until(partial(one.has, False, False, False)), one.owns()


def test_killed_run_keeps_objects_of_its_neighbours(start):
    first, second = start(), start()
    first.end()
    assert Deadline(30).until(partial(first.has, False, False, False)), first.owns()
    assert second.owns() == (True, True, True)


def test_a_run_that_ends_and_one_that_begins_leave_the_third_alone(start):
    first, second = start(), start()
    first.process.communicate("go\n")
    assert first.owns() == (False, False, False)
    third = start()
    third.end()
    assert Deadline(30).until(partial(third.has, False, False, False)), third.owns()
    assert second.owns() == (True, True, True)


@pytest.fixture
def other_user(tmp_path: Path) -> tuple[list[str], str, dict[str, str]]:
    """How to run Python as another user: the prefix, the Python, and an environment in which it finds this package."""
    setpriv = shutil.which("setpriv")
    package = Path(pytest_ipc.__file__).parents[1]
    pythons = [python for python in ("/usr/bin/python3", sys.executable) if os.access(python, os.X_OK)]
    if setpriv is None:
        pytest.skip("needs the program setpriv")
    prefix = [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    readable = tmp_path / "package"
    shutil.copytree(package / "pytest_ipc", readable / "pytest_ipc", ignore=shutil.ignore_patterns("__pycache__"))
    room = tmp_path / "theirs"
    room.mkdir()
    with Child.start(os.chown, (room, 65534, 65534)) as child:
        try:
            child.result()
        except OSError as error:
            pytest.skip(f"needs to run as another user: {error.strerror}")
    for folder in (readable, room, *tmp_path.parents[: len(tmp_path.parts) - 2]):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o711)
    tmp_path.chmod(0o711)
    environment = {"PYTHONPATH": str(readable), "TMPDIR": str(room), "XDG_RUNTIME_DIR": ""}
    for python in pythons:
        tried = subprocess.run(
            [*prefix, python, "-c", "import sys, pytest_ipc.processes.child; sys.exit(sys.version_info < (3, 11))"],
            env=os.environ | environment,
            capture_output=True,
            cwd="/",
            timeout=30,
            check=False,
        )
        if tried.returncode == 0:
            return prefix, python, environment
    pytest.skip("needs a Python from 3.11 on that another user may run")


def test_users_have_their_own_state_directories(start, other_user):
    prefix, python, environment = other_user
    theirs = start(*prefix, python=python, **environment)
    mine = start()
    theirs.end()
    assert Deadline(30).until(partial(theirs.has, False, False, False)), theirs.owns()
    assert mine.owns() == (True, True, True)
    again = start(*prefix, python=python, **environment)
    mine.end()
    assert Deadline(30).until(partial(mine.has, False, False, False)), mine.owns()
    assert again.owns() == (True, True, True)
    swept = subprocess.run(
        [sys.executable, "-m", "pytest_ipc", "sweep"], capture_output=True, text=True, timeout=30, check=False
    )
    assert str(again.path) not in swept.stdout
    assert again.owns() == (True, True, True)
