"""Under each small limit no clause deviates and none is broken; the reason of an untested clause names the limit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..subprocesses import Running
from .table import ROWS, SAMPLE

ROOT = Path(__file__).parents[2]
# A number of no account, another one for each run: what a user has is counted for all its processes.
USER = 62100 + os.getpid() % 800


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a temp folder that every user can reach and write to."""
    path = Path(tempfile.mkdtemp(prefix="ipc-limits-", dir="/tmp"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-limit")
        metafunc.parametrize("row", [name for name in ROWS if every or name in SAMPLE])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("user", [USER, 0], ids=["unprivileged", "as-it-is"])
def test_small_limit_is_not_a_deviation(row, user, folder, request):
    limits, every = ROWS[row], request.config.getoption("--every-limit")
    if not every and user == 0:
        pytest.skip("with --every-limit, for it is much the same")
    if os.geteuid() != 0 and (user or limits.sysctls or limits.shm or limits.machine or limits.pipes):
        pytest.skip("needs root to set the limit, or to become another user")
    if limits.machine and os.environ.get("PYTEST_IPC_WHOLE_MACHINE") != "1":
        pytest.skip("changes limits of the whole machine: set PYTEST_IPC_WHOLE_MACHINE=1 where that is acceptable")
    if limits.pipes and not user:
        pytest.skip("would take the pages of this user")
    found = check(row, user, folder, () if every else limits.touches)
    wrong = {id: f"{verdict}: {reason}" for id, (verdict, reason) in found.items() if verdict in ("deviates", "broken")}
    assert wrong == {}
    assert len(found) > 20


def check(row: str, user: int, folder: Path, clauses: tuple[str, ...]) -> dict[str, Any]:
    """Return the verdicts on *clauses*, all if none is named, under a row, with their reasons."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "tests.small_limits.under", row, str(user)]
    command += [sys.executable, "-m", "pytest_ipc", "check", "--report", str(report), *clauses]
    environment = os.environ | {"TMPDIR": str(folder), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("XDG_RUNTIME_DIR", None)
    pipe = subprocess.PIPE
    with Running(command, cwd=ROOT, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        said, _ = process.communicate(timeout=800)
    assert report.exists(), said
    clauses_found = json.loads(report.read_text())["clauses"]
    return {clause["id"]: (clause["verdict"], clause.get("reason", "")) for clause in clauses_found}
