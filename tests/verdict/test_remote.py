"""Several platforms at once: a verdict on each, also if one dies, hangs, asks for a password or never starts."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_ipc.printable import counted
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.commands import check_platforms
from pytest_ipc.verdict.reports import expectations
from pytest_ipc.verdict.runner.remote import Platform

from ..subprocesses import Running
from . import reports

HERE = shlex.quote(sys.executable)


@pytest.fixture
def check(pyz: Path, tmp_path: Path):
    """Return a function that runs pytest-ipc check on the clauses of shmdt, with its own temporary directory."""
    temp = tmp_path / "temp"
    temp.mkdir()

    def run(*arguments: str | Path, **platforms: str) -> subprocess.CompletedProcess[str]:
        named = [f"--platform={name}={command}" for name, command in platforms.items()]
        done = subprocess.run(
            [sys.executable, "-m", "pytest_ipc", "check", "shmdt.*", *map(str, arguments), *named],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
            env=os.environ | {"PYTEST_IPC_BUNDLE": str(pyz), "TMPDIR": str(temp)},
        )
        assert "Traceback" not in done.stderr
        assert [path.name for path in temp.iterdir() if path.name.startswith("pytest-ipc-bundle-")] == []
        return done

    return run


def verdicts(path: Path) -> dict[str, Any]:
    """Return the validated report and its verdicts by clause."""
    found = json.loads(path.read_text())
    reports.validate(found)
    return {"name": found["name"], "status": found["exit_status"], "broken": found["broken"]} | {
        "clauses": {clause["id"]: clause["verdict"] for clause in found["clauses"]}
    }


def test_each_platform_has_its_verdict_and_report(check, tmp_path):
    folder = tmp_path / "reports"
    done = check("--report", folder, "-n", "1", here=HERE, again=f"env A=B {HERE} -I")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["again.json", "here.json"]
    here, again = verdicts(folder / "here.json"), verdicts(folder / "again.json")
    assert (here.pop("name"), again.pop("name")) == ("here", "again")
    assert here == again
    assert set(here["clauses"].values()) == {"holds"}


def test_bundled_expectations_are_for_every_platform():
    options = Namespace(expect=[Path("gvisor-20221219")], report=None, name=None)
    ids = {clause.id for clause in suite.clauses(suite.location())}
    expected = check_platforms._prepare(options, [Platform("box", ["python3"]), Platform("tin", ["python3"])], ids)
    assert expected == dict.fromkeys(("box", "tin"), expectations.read(Path("gvisor-20221219"), ids))


def test_at_once_limits_parallel_platforms(check):
    done = check("--at-once", "1", one=HERE, none="/no/such/program", two=HERE)
    assert done.returncode == 2, done.stdout + done.stderr
    said = [line.split()[:2] for line in done.stdout.splitlines() if "/6" not in line]
    assert said[:5] == [
        ["one", "checking"],
        ["one", "judged"],
        ["none", "cannot"],
        ["two", "checking"],
        ["two", "judged"],
    ]


# The output or action of a command, and the resulting message.
REFUSALS = {
    "missing": ("/no/such/program", "/no/such/program cannot be started: No such file or directory"),
    "talkative": ("sh -c 'echo Welcome; exec python3 -'", "must print nothing before Python starts, not 'Welcome'"),
    "no-line": ("printf Welcome", "must print nothing before Python starts, not 'Welcome'"),
    "denied": (
        "sh -c 'echo Permission denied >&2; exit 255'",
        "ended before the suite began there (status 255): Permission denied",
    ),
    "killed": ("sh -c 'kill -9 $$'", "ended before the suite began there (SIGKILL)"),
    "deaf": ("true", "ended without running the program on its standard input"),
    # No terminal is available to ask on, whatever the terminal of this test.
    "password": ("sh -c 'read secret </dev/tty || exit 1; exec python3 -'", "/dev/tty"),
    "silent": ("sleep 1000", ""),
}


def test_platform_that_cannot_start_is_reported_and_others_continue(check, tmp_path):
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "talkative.json").write_text("old")
    commands = {name: command for name, (command, _) in REFUSALS.items()}
    commands["silent"] = shlex.join([sys.executable, "-c", "import signal; signal.pause()"])
    done = check("--report", folder, "--patience", "15", here=HERE, **commands)
    assert done.returncode == 2, done.stdout + done.stderr
    for name, (_, sentence) in REFUSALS.items():
        matching = [line for line in done.stdout.splitlines() if line.startswith(f"{name}  cannot be judged: ")]
        assert len(matching) == 1, done.stdout
        assert sentence in matching[0]
    assert "silent  cannot be judged: no Python answered for 15 seconds" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["here.json", "talkative.json"]
    assert (folder / "talkative.json").read_text() == "old"
    assert set(verdicts(folder / "here.json")["clauses"].values()) == {"holds"}


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended (status 137)"),
        ("signal.pause()", "it was silent for 30 seconds"),
    ],
)
def test_lost_platform_keeps_its_verdicts(check, tmp_path, does, reason):
    folder = tmp_path / "reports"
    far = tmp_path / "far.py"
    # Simulates a platform whose third verdict is lost.
    far.write_text(
        "import os, runpy, signal, sys\n"
        "write, seen = os.write, []\n"
        "def meddle(fd, data):\n"
        "    seen.extend([1] if b'[\"judged\"' in data else [])\n"
        f"    {does} if len(seen) == 3 else None\n"
        "    return write(fd, data)\n"
        "os.write = meddle\n"
        "sys.argv[:] = sys.argv[1:]\n"
        "runpy.run_module('pytest_ipc.verdict.runner.remote_worker', run_name='__main__', alter_sys=False)\n"
    )
    python = tmp_path / "python"
    # The suite is started as `python -P -m pytest_ipc.verdict.runner.remote_worker …`; other processes are not changed.
    python.write_text(
        f'#!/bin/sh\ncase "$*" in "-P -m"*) shift 3; exec {HERE} {far} far "$@";; *) exec {HERE} "$@";; esac\n'
    )
    python.chmod(0o755)
    starter = tmp_path / "starter.py"
    starter.write_text(
        f"import sys\nsys.executable = {str(python)!r}\nexec(compile(sys.stdin.read(), 'program', 'exec'))\n"
    )
    done = check("--report", folder, "--patience", "30", here=HERE, lost=f"{HERE} {starter}")
    assert done.returncode == 3, done.stdout + done.stderr
    lost = verdicts(folder / "lost.json")
    assert lost["status"] == 3
    assert len(lost["clauses"]) == 2
    assert len(lost["broken"]) == 1
    assert "the platform was lost after 2 of " in lost["broken"][0]
    assert reason in lost["broken"][0]
    assert "lost  broken: the platform was lost" in done.stdout
    assert verdicts(folder / "here.json")["status"] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--platform", "x"], "a platform must look like box='ssh box python3', not 'x'"),
        (["--platform", "../x=python3"], "a platform must look like"),
        (["--platform", "x="], "has no command that starts a Python"),
        (["--platform", "x='a"], "cannot be split into words"),
        (["--platform", "x=a", "--platform", "x=b"], "two platforms have the name x"),
        (["--platform", "x=a", "--name", "y"], "--name cannot be used with --platform"),
        (["--platform", "x=a", "--patience", "-1"], "must be a positive number, not '-1'"),
        (["--platform", "x=a", "--patience", "nan"], "must be a positive number, not 'nan'"),
        (
            ["--platform", "x=a", "--report", "/no/such/folder/r"],
            "cannot be written to the directory /no/such/folder/r",
        ),
        (["--platform", "x=a", "--expect", "/no/such"], "must be a directory with a NAME.toml for each platform"),
        (["--patience", "5"], "--patience needs --platform"),
        (["--at-once", "5"], "--at-once needs --platform"),
        (["--platform", "x=a", "--at-once", "0"], "must be a positive number, not '0'"),
    ],
)
def test_usage_error_is_one_sentence_with_status_2(check, arguments, sentence):
    done = check(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr.splitlines()[-1]


def test_signal_ends_the_platforms(pyz, tmp_path):
    """After SIGTERM no process of a platform and no directory remains."""
    pid = tmp_path / "pid"
    waits = tmp_path / "waits.sh"
    waits.write_text(f"#!/bin/sh\necho $$ >{pid}.new; mv {pid}.new {pid}; echo started >&2; exec sleep 1000\n")
    waits.chmod(0o755)
    with Running(
        [
            sys.executable,
            "-m",
            "pytest_ipc",
            "check",
            "shmdt.*",
            f"--platform=here={HERE}",
            f"--platform=waits={waits}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTEST_IPC_BUNDLE": str(pyz), "TMPDIR": str(tmp_path)},
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("here  judged"):
                break
        running.send_signal(signal.SIGTERM)
        assert "Interrupted" in running.stdout.read()
    assert running.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("pytest-ipc-")]


def test_sigterm_reports_the_verdicts_so_far(pyz, tmp_path):
    temp = tmp_path / "temp"
    temp.mkdir()
    with Running(
        [sys.executable, "-m", "pytest_ipc", "check", f"--platform=here={HERE}", "--report", tmp_path / "reports"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTEST_IPC_BUNDLE": str(pyz), "TMPDIR": str(temp)},
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("here") and " clauses: " in line:
                break
        running.send_signal(signal.SIGTERM)
        said = running.stdout.read()
    assert running.returncode == 143
    assert "here  the verdicts so far" in said
    assert "here  Interrupted after " in said
    found = verdicts(tmp_path / "reports/here.json")
    assert (found["status"], found["broken"]) == (143, [])
    assert len(found["clauses"]) > 100
    assert list(temp.iterdir()) == []


DEVIATING = """
import os, sys
from pytest_ipc.kernel import libc

def wrong(*arguments):
    libc._recent.append(("shmdt", arguments, 0, 0))
    return 0

from pytest_ipc.kernel import shm
shm._shmdt = wrong
"""


@pytest.fixture
def wrong(tmp_path):
    """Return the command of a platform on which shmdt() always succeeds."""
    (tmp_path / "sitecustomize.py").write_text(DEVIATING)
    python = tmp_path / "python"
    # The suite is started as `python -P -m pytest_ipc.verdict.runner.remote_worker …`, with PYTHONPATH for its
    # packages.
    python.write_text(
        f'#!/bin/sh\ncase "$*" in "-P -m"*) PYTHONPATH={tmp_path}:$PYTHONPATH exec {HERE} "$@";; esac\n'
        f'exec {HERE} "$@"\n'
    )
    python.chmod(0o755)
    starter = tmp_path / "starter.py"
    starter.write_text(
        f"import sys\nsys.executable = {str(python)!r}\nexec(compile(sys.stdin.read(), 'program', 'exec'))\n"
    )
    return f"{HERE} {starter}"


def test_each_platform_stops_at_its_first_unexpected_deviation(check, tmp_path, wrong):
    known = tmp_path / "known"
    known.mkdir()
    files = {f"--{name}": tmp_path / name for name in ("junit", "ctrf", "markdown")}
    options = [str(word) for pair in files.items() for word in pair]
    done = check("-x", "--expect", known, "--report", tmp_path / "reports", *options, here=HERE, wrong=wrong)
    assert done.returncode == 1, done.stdout + done.stderr
    assert set(verdicts(tmp_path / "reports/here.json")["clauses"].values()) == {"holds"}
    found = list(verdicts(tmp_path / "reports/wrong.json")["clauses"].values())
    assert found.count("deviates") == 1
    assert len(found) < 6
    said = (
        f"wrong  Stopped at an unexpected deviation after {counted(len(found), 'clause')}; the others are not judged."
    )
    assert said in done.stdout.splitlines()
    suites = ElementTree.parse(files["--junit"]).getroot()
    assert {suite.get("name"): suite.get("failures") for suite in suites} == {"here": "0", "wrong": "1"}
    assert json.loads(files["--ctrf"].read_text())["results"]["summary"]["suites"] == 2
    assert "### wrong: 1 unexpected" in files["--markdown"].read_text()
    ids = [id for id, verdict in verdicts(tmp_path / "reports/wrong.json")["clauses"].items() if verdict == "deviates"]
    (known / "wrong.toml").write_text(f'[deviates]\n"{ids[0]}" = "issue 1"\n')
    done = check("-q", "-x", "--expect", known, "--report", tmp_path / "reports", wrong=wrong)
    assert len(verdicts(tmp_path / "reports/wrong.json")["clauses"]) > len(found)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["wrong"] * len(done.stdout.splitlines())


def test_expectations_of_a_similar_name_are_suggested(check, tmp_path):
    (tmp_path / "gvisor.toml").write_text("")
    done = check("--expect", tmp_path, gvsor="/no/such/program", other="/no/such/program")
    assert done.stderr == "pytest-ipc: no file expects the deviations of gvsor; did you mean gvisor?\n"


def test_deviation_is_shown_as_for_one_platform(check, tmp_path, monkeypatch, wrong):
    """Statement, expected and observed behaviour, the verdict on each platform; annotations on GitHub."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    known = tmp_path / "known"
    known.mkdir()
    (known / "wrong.toml").write_text(
        '[deviates]\n"shmdt.einval-unaligned" = "issue 1"\n"shmget.private-always-new" = "not asked for"\n'
    )
    done = check("-v", "--expect", known, here=HERE, wrong=wrong)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    start = lines.index("shmdt.einval-unaligned  shmop(2), ERRORS")
    assert lines[start + 2 : start + 5] == [
        "  wrong  deviates",
        "      expected: EINVAL",
        "      observed: the call succeeded",
    ]
    assert "      expected of this platform: issue 1" in lines[start:]
    assert "here  This platform passes all 6 clauses that could be judged." in lines
    assert any(
        line.startswith("wrong  This platform deviates from the manual in ") and "and 1 of them is expected" in line
        for line in lines
    )
    assert any(line.startswith("wrong  unexpected shmdt.") for line in lines)
    assert any(line.startswith("::error title=wrong%3A shmdt.") for line in lines)
    assert any(line.startswith("::notice title=wrong%3A shmdt.einval-unaligned deviates::") for line in lines)
    assert not [line for line in lines if line.startswith("::") and "here" in line.partition("::")[0]]
