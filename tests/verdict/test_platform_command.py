"""pytest-ipc platform: unmet needs here or in a report, their clauses, and the remedies."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from pytest_ipc import limits, trial
from pytest_ipc.kernel import CLONE_NEWUSER, unshare
from pytest_ipc.verdict.platform import probes
from pytest_ipc.verdict.platform.describe import describe
from pytest_ipc.verdict.result import Verdict

from .reports import ABSENT, DEVIATES, HOLDS, UNTESTED, write

BEGINNINGS = {
    "as it is": "",
    "without capabilities": "from pytest_ipc.kernel import CapabilitySets, capset; capset(CapabilitySets(0, 0, 0))",
    "in a user namespace": "import os; from pytest_ipc.kernel import CLONE_NEWUSER, map_user, unshare; "
    "me = os.getuid(), os.getgid(); unshare(CLONE_NEWUSER); map_user(0, 0, *me)",
    "without /proc": "from pytest_ipc.unpatched import os; real = os.open\n"
    "def refuse(path, *rest, **more):\n"
    "    if str(path).startswith('/proc'): raise PermissionError(13, 'Permission denied', path)\n"
    "    return real(path, *rest, **more)\n"
    "os.open = refuse",
    "without processes to spare": "from pytest_ipc.unpatched import os\n"
    "def refuse(): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
    "os.fork = refuse",
    "without the extra": "import sys; "
    "sys.modules.update(rich=None, xdist=None, hypothesis=None, jinja2=None, pytest_timeout=None)",
}


def command(*arguments: object, beginning: str = "") -> subprocess.CompletedProcess[str]:
    source = f"{beginning}\nimport sys\nfrom pytest_ipc.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", source, "platform", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@cache
def found(beginning: str = "") -> dict[str, Any]:
    done = command("--json", "-", beginning=beginning)
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def names(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["name"] for entry in entries}


def test_description_of_this_machine():
    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    for name, text in describe().items():
        assert name in ("limits", "capabilities") or f"{name:<13} {text}" in done.stdout.splitlines()
    for limit in limits().values():
        assert any(line.startswith(f"{limit.name} ") and limit.page in line for line in done.stdout.splitlines())
    assert "pytest-ipc check --report here.json; pytest-ipc platform here.json" in done.stdout


@pytest.mark.parametrize("way", BEGINNINGS)
def test_command_works_on_every_platform(way):
    if way == "in a user namespace" and (refusal := trial(lambda: unshare(CLONE_NEWUSER))) is not None:
        pytest.skip(f"no user namespace can be made here: {refusal}")
    answer = found(BEGINNINGS[way])
    assert answer["platform"]["kernel"]
    lacking, there, untried = names(answer["lacking"]), set(answer["there"]), set(answer["untried"])
    assert len(lacking) + len(there) + len(untried) == len(lacking | there | untried)


def test_unmet_needs_without_capabilities():
    answer = found(BEGINNINGS["without capabilities"])
    lacks = {lack["name"]: lack for lack in answer["lacking"]}
    (said,) = lacks["CAP_IPC_OWNER"]["said"]
    assert said == {
        "reason": "needs CAP_IPC_OWNER, which this process does not have",
        "clauses": ["ipc.cap_ipc_owner-bypass"],
    }
    assert "--cap-add IPC_OWNER" in lacks["CAP_IPC_OWNER"]["change"]
    (said,) = lacks["other users"]["said"]
    assert said["reason"] == "Operation not permitted"
    assert "ipc.creator-class-too" in said["clauses"]
    assert "terminals" not in lacks


def test_capabilities_of_a_user_namespace_do_not_meet_needs():
    if (refusal := trial(lambda: unshare(CLONE_NEWUSER))) is not None:
        pytest.skip(f"no user namespace can be made here: {refusal}")
    lacks = {lack["name"]: lack for lack in found(BEGINNINGS["in a user namespace"])["lacking"]}
    for name in ("CAP_SYS_RESOURCE", "CAP_IPC_OWNER"):
        (said,) = lacks[name]["said"]
        assert f"needs {name}, which is set, but a trial call fails: " in said["reason"]
    assert "other users" in lacks


def test_invisible_needs_are_reported():
    answer = found(BEGINNINGS["without /proc"])
    without = {use["name"]: use for use in answer["without"]}
    assert without["/proc/PID/syscall"]["reason"].endswith(" of a child is not readable")
    assert "uses the state of a child" in without["/proc/PID/syscall"]["without"]


def test_impossible_probe_is_reported():
    lacks = {lack["name"]: lack for lack in found(BEGINNINGS["without processes to spare"])["lacking"]}
    (said,) = lacks["other users"]["said"]
    assert said["reason"] == "cannot be tried: Resource temporarily unavailable"


def test_permission_for_the_whole_machine(monkeypatch):
    monkeypatch.delenv("PYTEST_IPC_WHOLE_MACHINE", raising=False)
    assert probes.leave_for_the_machine() == "PYTEST_IPC_WHOLE_MACHINE=1 is not set"
    monkeypatch.setenv("PYTEST_IPC_WHOLE_MACHINE", "1")
    assert probes.leave_for_the_machine() == ""


def test_kernel_older_than_clauses_is_an_unmet_need(monkeypatch):
    assert probes.newest_kernel() == ""
    monkeypatch.setattr(probes, "kernel_is_older", lambda version: version in ("6.9", "6.3", "5.16"))
    assert probes.newest_kernel().endswith("and there are clauses from Linux 6.9 on")


def test_unusable_namespace_is_an_unmet_need(monkeypatch):
    """Simulates a sandbox whose unshare(2) succeeds without an effect: every process would see the mount."""
    monkeypatch.setattr(probes, "unshare", lambda _flags: None)
    mounted: list[object] = []
    monkeypatch.setattr(probes, "mount", lambda *arguments: mounted.append(arguments))
    assert probes.namespace("ipc") == "Operation not supported"
    assert probes.mounts() == "tmpfs, mqueue: Operation not supported"


def test_report_is_explained(tmp_path):
    verdicts = {
        "shmget.a": HOLDS,
        "shmget.b": UNTESTED,
        "shmget.c": DEVIATES,
        "semget.a": Verdict("absent", "ENOSYS: semget: Function not implemented", need="system-calls"),
        "msgget.a": Verdict("untested", "cannot give a queue to another user: Invalid argument", need="other-users"),
        "msgget.b": Verdict("untested", "needs CAP_SETUID and CAP_SETGID: Operation not permitted", need="other-users"),
        "fifo.a": Verdict("untested", "needs what nobody has thought of"),
        "fifo.b": Verdict("untested", "needs what a later version knows", need="quantum-pipes"),
    }
    path = write(tmp_path, "box", verdicts)
    done = command(path, "--ids")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "kernel        Linux 6.12.9 #1 SMP"
    start = lines.index("other users: 2 clauses (msgget 2)")
    assert start < lines.index("CAP_IPC_OWNER: 1 clause (shmget 1)")  # the need of most clauses comes first
    assert lines[start + 1 : start + 5] == [
        "    cannot give a queue to another user: Invalid argument (1)",
        "        msgget.a",
        "    needs CAP_SETUID and CAP_SETGID: Operation not permitted (1)",
        "        msgget.b",
    ]
    for name in ("needs that are not recorded", "quantum-pipes"):
        assert "no remedy is known for this" in lines[lines.index(f"{name}: 1 clause (fifo 1)") + 3]
    assert "system calls: 1 clause (semget 1)" in lines
    assert "shmget.c" not in done.stdout
    assert lines[-1] == "6 of 8 clauses of the report are untested or absent."


def test_report_without_untested_clauses(tmp_path):
    done = command(write(tmp_path, "box", {"shmget.a": HOLDS, "shmget.b": ABSENT}), "--json", "-")
    answer = json.loads(done.stdout)
    assert (names(answer["lacking"]), answer["limits"], answer["there"]) == ({"system calls"}, [], [])
    done = command(write(tmp_path, "box", {"shmget.a": HOLDS}))
    assert done.stdout.splitlines()[-1] == "0 of 1 clause of the report are untested or absent."


def test_json_is_written_atomically(tmp_path):
    target = tmp_path / "needs.json"
    assert command("--json", target).stdout == ""
    answer = json.loads(target.read_text())
    (limit,) = [limit for limit in answer["limits"] if limit["name"] == "PIPE_BUF"]
    assert (limit["unit"], limit["page"], limit["unlimited"]) == ("bytes", "pipe(7)", False)
    assert isinstance(limit["value"], int)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["/no/such.json"], "the report /no/such.json cannot be read: No such file"),
        (["--json", "/no/such/folder/x"], "the result cannot be written to /no/such/folder/x: No such file"),
        (["a.json", "b.json"], "unrecognized arguments: b.json"),
    ],
)
def test_usage_error_is_one_sentence_with_status_2(arguments, sentence):
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr.splitlines()[-1]
