"""Fixtures of every test of the project: a temporary directory of this process, and a search for leaks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ipc.custody import ledger

from .leaks import Snapshot, close_queues, left_since, queues

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def interrupts_come() -> Iterator[None]:
    """Reset SIGINT, which a shell ignores in background jobs: tests that interrupt a process would hang."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def temporary_root() -> Iterator[Path]:
    """Return the directory of temporary files of this process and its children.

    Other users may enter it, as /tmp, because FIFOs need that.
    """
    root = Path(tempfile.mkdtemp(prefix="ipc-tests-"))
    root.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(root))
        patch.setattr(tempfile, "tempdir", str(root))
        patch.delenv("XDG_RUNTIME_DIR", raising=False)
        queues()  # its descriptor is kept until the end
        ledger.current()  # opened now, below this root, so that no test is taken for the one that leaves it open
        yield root
        close_queues()
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def leaves_nothing(temporary_root: Path) -> Iterator[None]:
    """Fail a test that leaves a segment, a child, a descriptor or a temporary directory behind."""
    before = Snapshot.take(temporary_root)
    yield
    if left := left_since(before, temporary_root):
        pytest.fail("the test leaked:\n" + "\n".join(left), pytrace=False)


@pytest.fixture
def program() -> Program:
    """Run Python source in a process of its own, without pytest: program(source, *args), which must succeed."""

    def run(source: str, *args: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", source, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tempfile.gettempdir(),
            env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
