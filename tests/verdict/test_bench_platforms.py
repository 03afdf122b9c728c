"""pytest-ipc bench --platform: figures of each platform, also if another one dies, prints or never starts."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc.kernel import Deadline

from ..subprocesses import Running
from .benchmarks import validate

HERE = shlex.quote(sys.executable)


@pytest.fixture
def measuring(pyz: Path, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """Return the begin of a command that measures pipes, and an environment with its own temporary directory."""
    (tmp_path / "temp").mkdir()
    command = [sys.executable, "-m", "pytest_ipc", "bench", "--quick", "pipe"]
    return command, os.environ | {"PYTEST_IPC_BUNDLE": str(pyz), "TMPDIR": str(tmp_path / "temp")}


@pytest.fixture
def bench(measuring: tuple[list[str], dict[str, str]], tmp_path: Path):
    """Return a function that measures pipes on platforms."""
    command, environment = measuring

    def run(*arguments: str | Path, **platforms: str) -> subprocess.CompletedProcess[str]:
        named = [f"--platform={name}={place}" for name, place in platforms.items()]
        words = [*command, *map(str, arguments), *named]
        done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False, env=environment)
        assert "Traceback" not in done.stderr
        assert Deadline(30).until(lambda: not [*(tmp_path / "temp").iterdir()]), [*(tmp_path / "temp").rglob("*")]
        return done

    return run


def load(path: Path) -> Any:
    found = json.loads(path.read_text())
    validate(found)
    return found


def test_platforms_have_their_figures_side_by_side(bench, tmp_path):
    folder, page = tmp_path / "figures", tmp_path / "bench.html"
    done = bench("--json", folder, "--html", page, here=HERE, again=f"env A=B {HERE} -I")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["again.json", "here.json"]
    for name in ("here", "again"):
        found = load(folder / f"{name}.json")
        assert found["name"] == name
        assert not found["conditions"]["interrupted"]
        assert {entry["mechanism"] for entry in found["figures"]} >= {"pipe", "fork"}
    assert "mechanism size here again" in [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert re.findall(r"<summary>(.*)</summary>", page.read_text()) == ["here", "again"]
    began = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" 21 measurements")]
    ended = [line.split()[0] for line in done.stdout.splitlines() if "21/21 measurements" in line]
    assert (began, ended) == (["here", "again"], ["here", "again"])
    assert done.stdout.index("here  21/21") < done.stdout.index("again  21 measurements")  # not at the same time


def test_other_platforms_are_measured_if_one_refuses(bench, tmp_path):
    done = bench("--json", tmp_path / "figures", none="/no/such/program", noisy="echo hello", here=HERE)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "none  cannot be measured: /no/such/program cannot be started: No such file or directory" in done.stdout
    assert "noisy  cannot be measured: its command must print nothing before Python starts, not 'hello" in done.stdout
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["here.json"]


def test_figures_of_a_platform_that_dies_are_kept(bench, tmp_path):
    folder, far = tmp_path / "figures", tmp_path / "far.py"
    # Simulates a platform that dies with its tenth step, in the second repetition.
    far.write_text(
        "import os, runpy, signal, sys\n"
        "write = os.write\n"
        "def meddle(fd, data):\n"
        "    if b'[\"step\", [10,' in data: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(fd, data)\n"
        "os.write = meddle\n"
        "sys.argv[:] = sys.argv[1:]\n"
        "runpy.run_module('pytest_ipc.verdict.bench.bench_worker', run_name='__main__', alter_sys=False)\n"
    )
    python, starter = tmp_path / "python", tmp_path / "starter.py"
    # The worker is started as `python -P -m pytest_ipc.verdict.bench.bench_worker …`; other processes are not changed.
    python.write_text(
        f'#!/bin/sh\ncase "$*" in "-P -m"*) shift 3; exec {HERE} {far} far "$@";; *) exec {HERE} "$@";; esac\n'
    )
    python.chmod(0o755)
    starter.write_text(
        f"import sys\nsys.executable = {str(python)!r}\nexec(compile(sys.stdin.read(), 'program', 'exec'))\n"
    )
    done = bench("--json", folder, lost=f"{HERE} {starter}")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "lost  the platform was lost, with the figures so far: it ended (status 137)" in done.stdout
    found = load(folder / "lost.json")
    assert found["conditions"]["interrupted"]
    assert {entry["repetitions"] for entry in found["figures"] if entry["mechanism"] == "pipe"} == {1, 2}


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_interruption_keeps_the_figures_so_far(measuring, tmp_path, signo):
    (command, environment), folder = measuring, tmp_path / "figures"
    arguments = ["env", "--default-signal", *command, f"--platform=here={HERE}", "--json", str(folder)]
    with Running(arguments, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "10/21" in line or "11/21" in line:
                break
        running.send_signal(signo)
        said = running.stdout.read()
    assert running.returncode == 128 + signo
    assert "Interrupted: the figures so far." in said
    found = load(folder / "here.json")
    assert found["conditions"]["interrupted"]
    assert found["figures"]
    assert Deadline(30).until(lambda: not [*(tmp_path / "temp").iterdir()]), [*(tmp_path / "temp").rglob("*")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--platform", "here"], "a platform must look like box='ssh box python3', not 'here'"),
        (["--platform", "a=true", "--platform", "a=true"], "two platforms have the name a"),
        (["--platform", "a=true", "--name", "b"], "--name cannot be used with --platform"),
        (["--patience", "7"], "--patience and --at-once need --platform"),
        (["--link", "page.html"], "--link needs --html"),
        (["--compare", "a.json", "--quick"], "--compare measures nothing"),
        (["--html", "/no/such/folder/b.html"], "cannot be written to /no/such/folder/b.html"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(arguments, sentence):
    command = [sys.executable, "-m", "pytest_ipc", "bench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
