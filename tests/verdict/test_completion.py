"""Completion in a shell: subcommands, options, clauses, bundled expectations."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("argcomplete")


def completions(folder: Path, line: str) -> list[str]:
    """Return what a shell is offered at the end of the line."""
    answer = folder / "answer"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest_ipc"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return [word.strip() for word in answer.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("pytest-ipc ", {"check", "compare", "status"}),
        ("pytest-ipc check --exp", {"--expect"}),
        ("pytest-ipc check --annotations ", {"auto", "github", "none"}),
        ("pytest-ipc check shmge", {"shmget", "shmget.private-always-new"}),
        ("pytest-ipc check 'mq_send(", {"mq_send(3)"}),
        ("pytest-ipc check shm pip", {"pipe"}),
        ("pytest-ipc check --expect gv", {"gvisor-20221219"}),
        ("pytest-ipc check --expect mi", {"mine.toml"}),
        ("pytest-ipc expect rep", {"report.json"}),
        ("pytest-ipc sweep --dr", {"--dry-run"}),
    ],
)
def test_words_are_completed(tmp_path, line, some):
    for name in ("mine.toml", "report.json"):
        (tmp_path / name).touch()
    found = completions(tmp_path, line)
    assert some <= set(found)
    begin = line.rpartition(" ")[2].lstrip("'")
    assert all(word.replace("\\", "").startswith(begin) for word in found)


def test_shell_without_the_package_gets_no_answer():
    code = (
        "import sys; sys.modules['argcomplete'] = None; from pytest_ipc.cli import main; sys.exit(main(['--version']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"_ARGCOMPLETE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
