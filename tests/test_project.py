"""A project of a user's own, with the plugin installed: it passes with and without xdist and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PROJECT = Path(__file__).with_name("project")


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("-s",)], ids=["alone", "xdist", "uncaptured"])
def test_a_users_project_passes(pytester: pytest.Pytester, arguments):
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True)
    segments = Path("/proc/sysvipc/shm")
    before = segments.read_text() if segments.exists() else ""
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(passed=6)
    ours = [row for row in (segments.read_text() if before else "").splitlines() if row not in before.splitlines()]
    assert not [row for row in ours if row.split()[7] == str(os.geteuid()) and not _alive(int(row.split()[4]))]


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
