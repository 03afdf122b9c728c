"""Fixtures that take long to build, built once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.reports import atomic, input_file
from pytest_ipc.verdict.runner import build_bundle

from .browser import Browser, browser, program
from .pages import BOX, HOST, write


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle. Packages that are not pure Python here come from an index, which some machines cannot reach."""
    try:
        content = build_bundle.make()
    except CommandError as error:
        if "pip cannot fetch" in str(error):
            pytest.skip(str(error))
        raise
    path = tmp_path_factory.mktemp("bundle") / "pytest-ipc.pyz"
    path.write_bytes(content)
    return path


@pytest.fixture
def impatient(monkeypatch):
    """Give up a missing reader or writer at once."""
    monkeypatch.setattr(atomic, "PATIENCE", 0.1)
    monkeypatch.setattr(input_file, "PATIENCE", 0.1)


@pytest.fixture
def device(tmp_path: Path) -> Callable[[int, int], Path]:
    """Return a function that creates a device file that nothing else uses."""

    def make(kind: int, minor: int) -> Path:
        path = tmp_path / f"device{minor}"
        try:
            os.mknod(path, kind | 0o666, os.makedev(1, minor))
            os.close(os.open(path, os.O_WRONLY))
        except OSError as error:
            pytest.skip(f"needs a device file: {error.strerror}")
        return path

    return make


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Yield a browser for all tests of this file."""
    if program() is None:
        pytest.skip("needs Chromium")
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Browser:
    """Return the page of HOST and BOX, opened."""
    chromium.resize(1200, 900)
    chromium.prefer("light")
    chromium.open(f"file://{write(tmp_path, host=HOST, box=BOX)}")
    return chromium
