"""Two runs side by side, of one user or of two: neither touches what is the other's, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Deadline, shmctl_stat

from .test_reaper import has_ended, reapers
from .test_sweep import exists

RUN = """
import os, signal, sys

def test_it(sysv_shm, fifo, fork):
    segments = [sysv_shm(), sysv_shm(key=0)]
    made = fifo()
    child = fork(signal.pause)
    child.wait_blocked("pause")
    told = [os.getpid(), made.path, child.pid, *(segment.id for segment in segments)]
    os.write(int(os.environ["IPC_TELL"]), f"{' '.join(map(str, told))}\\n".encode())
    os.read(int(os.environ["IPC_WAIT"]), 1)
    assert made.path.exists()
    assert all(segment.exists() for segment in segments)
    assert child.alive
"""
NOBODY = 65534


def as_user(user: int | None) -> dict[str, Any]:
    """What makes subprocess start something as *user*."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


class Run:
    """A run of pytest that has made everything, and waits to be let go."""

    def __init__(self, folder: Path, command: list[str], environment: dict[str, str], user: int | None) -> None:
        told, tell = os.pipe()
        wait, self.go = os.pipe()
        self.log = folder / f"log-{tell}-{wait}"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*command, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"],
                cwd=folder,
                env=environment | {"IPC_TELL": str(tell), "IPC_WAIT": str(wait)},
                pass_fds=(tell, wait),
                stdout=log,
                stderr=log,
                **as_user(user),
            )
        os.close(tell)
        os.close(wait)
        with open(told) as file:
            line = file.readline()
        if not line:
            self.end()
            raise RuntimeError(self.output())
        pid, path, child, *segments = line.split()
        self.pid, self.path, self.child = int(pid), Path(path), int(child)
        self.segments = list(map(int, segments))

    def is_whole(self) -> bool:
        """Whether all that it has made is there."""
        return all(map(exists, self.segments)) and self.is_fifo() and not has_ended(self.child)

    def is_gone(self) -> bool:
        """Whether nothing of it is."""
        return not any(map(exists, self.segments)) and not self.path.exists() and has_ended(self.child)

    def is_fifo(self) -> bool:
        try:
            return stat.S_ISFIFO(self.path.lstat().st_mode)
        except FileNotFoundError:
            return False

    def output(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        """Let it go on to its end; its exit status."""
        if self.go >= 0:
            os.close(self.go)
            self.go = -1
        return self.process.wait(30)


@pytest.fixture
def folder(temporary_root: Path) -> Iterator[Path]:
    """A folder that every user may pass and put files in, as /tmp."""
    path = Path(tempfile.mkdtemp(dir=temporary_root))
    path.chmod(0o1777)
    (path / "test_it.py").write_text(RUN)
    (path / "test_it.py").chmod(0o644)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder):
    """Start a run as this user or as nobody, with the temp folder for a home, as where there is no $XDG_RUNTIME_DIR."""
    runs = []

    def run(user: int | None = None) -> Run:
        begun = Run(folder, python_of(user), environment(folder, user), user)
        runs.append(begun)
        return begun

    yield run
    for begun in runs:
        begun.process.kill()
        begun.end()
        for reaper in reapers(begun.pid):
            assert Deadline(10).until(partial(has_ended, reaper))
        assert Deadline(10).until(begun.is_gone)


def environment(folder: Path, user: int | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "XDG", "COV"))}
    if user is not None:
        import packaging

        kept |= {"PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(packaging.__file__).parents[1]}"}
    return kept | {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}


def python_of(user: int | None) -> list[str]:
    """A Python that *user* may execute, and that finds pytest and this package."""
    if user is None:
        return [sys.executable]
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")
    tried = ""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import pytest, pytest_ipc.plugin"]
        try:
            done = subprocess.run(
                probe,
                env=environment(Path("/tmp"), user),
                user=user,
                group=user,
                extra_groups=[],
                check=False,
                capture_output=True,
                text=True,
                timeout=30,
                cwd="/",
            )
        except OSError as error:
            tried += f"; {error}"
            continue
        if done.returncode == 0:
            return [python]
        tried += f"; {done.stderr.strip().splitlines()[-1]}"
    pytest.skip(f"no Python here that user {user} can run this with{tried}")


def command(folder: Path, name: str, user: int | None = None) -> str:
    """What `pytest-ipc NAME` says to that user, in that folder."""
    done = subprocess.run(
        [*python_of(user), "-m", "pytest_ipc", name],
        env=environment(folder, user),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **as_user(user),
    )
    return str(done.stdout + done.stderr)


@pytest.mark.parametrize("end", ["in order", "killed", "killed with its reaper"])
def test_a_run_beside_another_of_the_same_user(folder, start, end):
    first = start()
    second = start()  # its start sweeps
    assert first.is_whole()
    assert second.is_whole()
    if end == "in order":
        assert second.end() == 0, second.output()
    else:
        if end == "killed with its reaper":
            for reaper in reapers(second.pid):
                os.kill(reaper, signal.SIGKILL)
        second.process.kill()
        second.end()
    if end == "killed with its reaper":
        assert command(folder, "sweep").count("removed ") == 3
    assert Deadline(10).until(second.is_gone)
    assert first.is_whole()
    third = start()
    assert first.is_whole()
    assert third.end() == 0, third.output()
    assert first.end() == 0, first.output()
    assert first.is_gone()


def test_a_run_beside_another_users(folder, start):
    ours, theirs = start(), start(NOBODY)
    homes = {path.name: path.stat() for path in folder.glob("pytest-ipc-of-*")}
    assert {name: (status.st_uid, stat.S_IMODE(status.st_mode)) for name, status in homes.items()} == {
        f"pytest-ipc-of-{os.geteuid()}": (os.geteuid(), 0o700),
        f"pytest-ipc-of-{NOBODY}": (NOBODY, 0o700),
    }
    assert shmctl_stat(theirs.segments[0]).perm.cuid == NOBODY
    for user in (None, NOBODY):
        assert "nothing was left behind" in command(folder, "sweep", user)
        assert "4 objects are owned" in command(folder, "status", user)
    assert ours.is_whole()
    assert theirs.is_whole()
    for reaper in reapers(theirs.pid):
        os.kill(reaper, signal.SIGKILL)
    theirs.process.kill()
    theirs.end()
    # What another user's run has left is that user's to clear, also for root.
    assert "nothing was left behind" in command(folder, "sweep")
    assert all(map(exists, theirs.segments))
    assert command(folder, "sweep", NOBODY).count("removed ") == 3
    assert theirs.is_gone()
    assert ours.is_whole()
    assert ours.end() == 0, ours.output()


@pytest.mark.parametrize("place", ["directory", "link"])
def test_a_home_that_another_user_has_put_there_stops_the_run(folder, start, place):
    """The name below the temp folder can be guessed; whoever takes it gains nothing but an error that names it."""
    python_of(NOBODY)
    home = folder / f"pytest-ipc-of-{os.geteuid()}"
    if place == "directory":
        home.mkdir(mode=0o700)
    else:
        (folder / "theirs").mkdir(mode=0o700)
        home.symlink_to(folder / "theirs")
    for path in folder.iterdir():
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(RuntimeError) as caught:
        start()
    sentence = f"belongs to user {NOBODY}" if place == "directory" else "no directory of ours"
    assert sentence in str(caught.value)
    assert str(home) in str(caught.value)
