"""A project of a user's own, with the plugin installed: it passes with and without xdist and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline

PROJECT = Path(__file__).with_name("project")


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("-s",)], ids=["alone", "xdist", "uncaptured"])
def test_a_users_project_passes(pytester: pytest.Pytester, arguments):
    shutil.copytree(PROJECT, pytester.path, dirs_exist_ok=True)
    segments = Path("/proc/sysvipc/shm")
    before = segments.read_text() if segments.exists() else ""
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)
    result.assert_outcomes(passed=6)

    def left() -> list[str]:
        rows = (segments.read_text() if before else "").splitlines()
        new = [row for row in rows if row not in before.splitlines()]
        return [row for row in new if row.split()[7] == str(os.geteuid()) and not _alive(int(row.split()[4]))]

    # Other tests kill runs that own segments, at this very moment perhaps; those go within a second, and these with the
    # run.
    assert Deadline(30).until(lambda: not left()), left()


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
