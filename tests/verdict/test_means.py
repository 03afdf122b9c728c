"""A refused call of fixtures is reported once, makes unrelated clauses untested, and breaks none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Deviation
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.platform import describe, means

from . import reports

ROOT = Path(__file__).parents[2]

IPC_SET, IPC_STAT = 1, 2


@pytest.fixture
def check_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return a function that checks clauses under a restricting command: the report, with the output."""

    def check(prefix: list[str], *clauses: str, **environment: str) -> dict[str, Any]:
        report = tmp_path / "report.json"
        monkeypatch.setenv("TMPDIR", str(tmp_path))  # without /proc no directory is known to be removable
        report.unlink(missing_ok=True)
        command = [*prefix, sys.executable, "-m", "pytest_ipc", "check", "--report", str(report), *clauses]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=110, check=False
        )
        if "no number is known" in done.stderr or "PR_SET_SECCOMP" in done.stderr or "unshare failed" in done.stderr:
            pytest.skip(done.stderr.splitlines()[-1])
        assert report.exists(), done.stdout + done.stderr
        found: dict[str, Any] = json.loads(report.read_text())
        reports.validate(found)
        return found | {"said": done.stdout}

    return check


def test_an_unprivileged_user_lacks_nothing(fork):
    """Nor one that enters a user namespace, so that no object stays: that shows nothing of the platform."""
    if os.geteuid():
        assert means.lacking() == ()
        return

    def as_user():
        os.setgroups([])
        os.setresgid(12345, 12345, 12345)
        os.setresuid(12345, 12345, 12345)
        return [str(lack) for lack in means.lacking.__wrapped__()]

    assert fork(as_user).result(timeout=60) == []


def below(faults: str) -> list[str]:
    return [sys.executable, "-m", "tests.fault_injection.seccomp", faults]


@pytest.mark.parametrize("errno", ["EPERM", "EINVAL"])
@pytest.mark.parametrize(
    ("call", "label", "fixture", "page", "prefix"),
    [
        (f"semctl(*,*,{IPC_STAT})", "semctl(2) with IPC_STAT", "sysv_sem", "semctl(2)", "sem"),
        (f"shmctl(*,{IPC_STAT})", "shmctl(2) with IPC_STAT", "sysv_shm", "shmctl(2)", "shm"),
        (f"msgctl(*,{IPC_SET})", "msgctl(2) with IPC_SET", "sysv_msg", "msgctl(2)", "msg"),
    ],
)
def test_refused_call_is_a_need_of_other_clauses(check_below, call, label, fixture, page, prefix, errno):
    found = check_below(below(f"{call}={errno}"), prefix)
    lacking = f"{label}: {errno} ({fixture}; a seccomp filter that allows it would change that)"
    assert found["platform"]["lacking"] == lacking
    assert found["said"].count(lacking) == 1
    assert (found["broken"], [clause for clause in found["clauses"] if clause["verdict"] == "broken"]) == ([], [])
    lack = f"needs {label}, which {fixture} uses: "
    untested = [clause for clause in found["clauses"] if clause["reason"].startswith(lack)]
    deviating = [clause for clause in found["clauses"] if clause["verdict"] == "deviates"]
    assert len(untested) > 3
    assert {clause["page"] for clause in deviating} <= {page, "proc(5)"}
    assert {clause["need"] for clause in untested} == {"fixtures"}


def test_without_proc_every_clause_that_does_not_hold_names_it(check_below):
    if os.geteuid():
        pytest.skip("needs root")
    prefix = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'umount -l /proc; exec "$@"', "-"]
    found = check_below(prefix, "pipe")
    assert found["platform"]["lacking"].startswith(
        "/proc mounted: ENOENT (every fixture; mount -t proc none /proc would"
    )
    verdicts = Counter(clause["verdict"] for clause in found["clauses"])
    assert set(verdicts) <= {"holds", "untested", "absent", "disputed"}
    assert verdicts["untested"] > 20
    assert found["broken"] == []


def test_child_that_cannot_be_ended_breaks_no_clause(check_below):
    found = check_below(below("pidfd_send_signal=EPERM"), "pipe.eof-after-last-writer", "pidfd_send_signal.as-kill")
    assert found["platform"]["lacking"].startswith("pidfd_send_signal(2): EPERM (fork; ")
    assert found["broken"] == []
    assert "broken" not in {clause["verdict"] for clause in found["clauses"]}


def test_all_means_are_available_here():
    assert means.lacking() == ()
    assert "lacking" not in describe.describe()


@pytest.mark.parametrize(
    ("phase", "page", "is_setting_up", "is_lack"),
    [
        ("call", "semop(2)", False, True),
        ("call", "semctl(2)", False, False),
        ("call", "semctl(2)", True, True),
        ("setup", "semctl(2)", False, True),
        ("teardown", "semctl(2)", False, True),
    ],
)
def test_clause_about_the_refused_call_is_judged(monkeypatch, phase, page, is_setting_up, is_lack):
    means.lacking.cache_clear()
    monkeypatch.setattr(means, "trial", lambda use: OSError(1, "no") if use is STAT.use else None)
    try:
        found = means.lacking_for(
            OSError(1, "semctl: Operation not permitted"), phase, page, is_setting_up=is_setting_up
        )
    finally:
        means.lacking.cache_clear()
    assert (found is not None) == is_lack


STAT = next(found for found in means._MEANS if found.label == "semctl(2) with IPC_STAT")


def test_unrelated_error_is_not_a_lack(monkeypatch):
    means.lacking.cache_clear()
    monkeypatch.setattr(means, "trial", lambda use: OSError(1, "no") if use is STAT.use else None)
    try:
        for error in (
            Deviation("semaphores.values to be [1]", "it is [0]"),
            OSError(1, "shmctl: Operation not permitted"),
            OSError(1, "Operation not permitted"),
            AssertionError("semctl: no"),
            None,
        ):
            assert means.lacking_for(error, "call", "semop(2)", is_setting_up=False) is None
    finally:
        means.lacking.cache_clear()


def test_missing_or_exhausted_is_not_refused(monkeypatch):
    for errno in (38, 24, 28):
        means.lacking.cache_clear()
        monkeypatch.setattr(means, "trial", lambda _use, errno=errno: OSError(errno, "no"))
        try:
            assert means.lacking() == ()
        finally:
            means.lacking.cache_clear()


def test_suite_has_clauses_on_every_means():
    pages = {clause.page.partition("(")[0] for clause in suite.clauses(suite.location())}
    assert {found.call for found in means._MEANS} - {"/proc"} <= pages | {"shmat", "shmdt"}
