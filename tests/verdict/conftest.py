"""Fixtures that take long to build, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ipc.verdict.command_error import CommandError
from pytest_ipc.verdict.runner import build_bundle


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
