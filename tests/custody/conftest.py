"""A state directory per test, separate from those of the session and of other tests."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pytest_ipc.custody.state_paths
from pytest_ipc import scope
from pytest_ipc.custody import ledger
from pytest_ipc.custody.ledger import Ledger
from pytest_ipc.custody.state_dir import state_dir_path

from ..subprocesses import Running


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory as $XDG_RUNTIME_DIR of the test; the state directory in it does not exist yet."""
    path = tmp_path / "runtime"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr(pytest_ipc.custody.state_paths, "_pinned", None)
    # # Leftovers of other runs do not count here, and objects of the session must not be swept.
    candidates = pytest_ipc.custody.state_paths._candidates
    monkeypatch.setattr(pytest_ipc.custody.state_paths, "_candidates", lambda: candidates()[:1])
    return path


@pytest.fixture
def open_folder(temporary_root: Path) -> Iterator[Path]:
    """Yield a folder for everybody's temporary files, which every user can reach."""
    path = Path(tempfile.mkdtemp(dir=temporary_root))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def state_dir(runtime: Path) -> Iterator[Path]:
    """Yield the state directory in it."""
    path = runtime / "pytest-ipc"
    path.mkdir(mode=0o700)
    yield path
    path.chmod(0o700)


@pytest.fixture
def own(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Yield a ledger of this process in its own state directory, instead of that of the session."""
    made = Ledger()
    assert state_dir_path() == str(state_dir)
    monkeypatch.setattr(ledger, "_ledger", made)
    yield made
    made.close()


SLEEPS = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]


@pytest.fixture
def foreign(temporary_root: Path) -> Iterator[dict[str, Any]]:
    """Create one unrecorded object of every kind, and a process; they must survive."""
    folder = Path(tempfile.mkdtemp(dir=temporary_root))
    folder.chmod(0o711)
    empty, file, fifo = folder / "empty", folder / "file", folder / "fifo"
    empty.mkdir()
    file.write_text("kept")
    os.mkfifo(fifo)
    with scope() as ipc, Running(SLEEPS, start_new_session=True) as process:
        segment, semaphores, queue = ipc.sysv_shm(), ipc.sysv_sem(), ipc.sysv_msg()
        yield {
            "segment": segment,
            "set": semaphores,
            "queue": queue,
            "empty": empty,
            "file": file,
            "fifo": fifo,
            "process": process,
        }
        assert [made.exists() for made in (segment, semaphores, queue)] == [True] * 3
        assert (empty.is_dir(), file.read_text(), stat.S_ISFIFO(fifo.lstat().st_mode)) == (True, "kept", True)
        assert process.poll() is None
        process.kill()
    shutil.rmtree(folder)
