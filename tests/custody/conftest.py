"""A home of ledgers for one test, so that neither the session's own nor another test's meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_ipc.custody.home
from pytest_ipc.custody import ledger
from pytest_ipc.custody.home import home_path
from pytest_ipc.custody.ledger import Ledger


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is this test's $XDG_RUNTIME_DIR; the home in it is not made yet."""
    path = tmp_path / "runtime"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.setattr(pytest_ipc.custody.home, "_pinned", None)
    return path


@pytest.fixture
def home(runtime: Path) -> Iterator[Path]:
    """The home in it."""
    path = runtime / "pytest-ipc"
    path.mkdir(mode=0o700)
    yield path
    path.chmod(0o700)


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger of this process's in a home of its own, in the place of the session's."""
    made = Ledger()
    assert home_path() == home
    monkeypatch.setattr(ledger, "_ledger", made)
    yield made
    made.close()
