"""The pytest plugin: what every run pays for, so it imports nothing that a run without IPC does not need."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytest_ipc.fixtures"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "clause(id, page, section, errno=None, since=None, disputed=None): The documented sentence that a test asserts; "
        "its outcome becomes the clause's verdict",
    )
