"""docs/clauses.md equals the suite, every documented sentence has a clause or a reason, and CI examples work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc.verdict import suite

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_clauses_is_up_to_date():
    done = subprocess.run(
        [sys.executable, DOCS / "clauses.py", "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "docs/clauses.md is up to date\n"), done.stdout + done.stderr


def test_the_manual_page_is_up_to_date():
    """It is the same for every width of the terminal and every version of Python."""
    done = subprocess.run(
        [sys.executable, DOCS / "man.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "43"},
    )
    assert (done.returncode, done.stdout) == (0, "docs/pytest-ipc.1 is up to date\n"), done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_the_manual_page_has_no_error_and_every_option():
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-rLL=100n", DOCS / "pytest-ipc.1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(".\b", "", done.stdout)
    for command in ("check", "compare", "expect", "badge", "platform", "status", "sweep", "bundle"):
        shown = subprocess.run(
            [sys.executable, "-m", "pytest_ipc", command, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", shown, re.MULTILINE))
        assert options
        assert {option for option in options if option not in text} == set(), command


def test_every_sentence_of_the_inventory_is_a_clause_or_says_why_not():
    clauses = {clause.id for clause in suite.clauses(suite.location())}
    rows = [line.split("\t") for line in (DOCS / "inventory.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert len({id for id, *_ in rows}) == len(rows)
    for id, ltp, gvisor, stands in rows:
        assert {ltp, gvisor} <= {"y", "p", "n", "O", ""}, id
        if not stands.startswith("none: "):
            assert set((stands or id).split()) <= clauses, id
        else:
            assert len(stands) > 20, id


def examples(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a page by section: those of a CI's jobs, and those in a shell, but for what installs packages."""
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        lines = re.findall(r"^ *- (?:run: )?(pytest.*)|^    ((?:pytest|mkdir).*)", section, re.MULTILINE)
        if commands := [in_a_job or in_a_shell for in_a_job, in_a_shell in lines]:
            found.append((section.partition("\n")[0], commands))
    return found


def as_tried(command: str) -> str:
    """Return the same on a few clauses, for the whole suite has tests of its own."""
    command = command.replace("pytest-ipc check", "pytest-ipc check 'shmdt.*'").replace("-n auto", "-n 2")
    return re.sub(r"--pyargs pytest_ipc_conformance\b", f"-c {os.devnull} {suite.location()}/shm -k segment", command)


@pytest.mark.parametrize(
    ("section", "commands"), [pytest.param(*found, id=found[0]) for found in examples((DOCS / "ci.md").read_text())]
)
def test_example_for_ci_works_on_its_first_run(tmp_path, section, commands):
    """In an empty folder; a section other than that of a CI's job begins with the report of one."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CI_RUNNER_DESCRIPTION": "r",
    }
    if not any("check" in command for command in commands) or section == "Expected deviations":
        commands = ["mkdir last", "pytest-ipc check --report ipc.json --name r", "cp ipc.json last/", *commands]
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", as_tried(command)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_examples_for_ci_are_found():
    commands = [command for _, those in examples((DOCS / "ci.md").read_text()) for command in those]
    assert [command.split()[1] for command in commands if command.startswith("pytest-ipc")] == [
        *("check", "badge"),
        *("check", "badge"),
        *("expect", "check", "check"),
        "compare",
        "check",
    ]
    assert sum("pytest_ipc_conformance" in command for command in commands) == 2
