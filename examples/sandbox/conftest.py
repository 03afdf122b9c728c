"""The sandbox that is verified, and probes inside it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Deviation, Ipc, Program

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sandbox",
        metavar="COMMAND",
        default=str(HERE / "sandbox"),
        help="the beginning of a command that runs the rest of it in the sandbox (default: the script in this folder)",
    )


@pytest.fixture(scope="session")
def sandbox(pytestconfig: pytest.Config) -> list[str]:
    """The command; the tests are skipped where it cannot run anything."""
    command = shlex.split(pytestconfig.getoption("--sandbox"))
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        pytest.skip(f"the sandbox cannot be started: {error}")
    if tried.returncode:
        pytest.skip(f"the sandbox fails with status {tried.returncode}: {tried.stderr.strip()}")
    return command


@pytest.fixture
def run(ipc: Ipc, sandbox: list[str]) -> Callable[..., Program]:
    """Start a command in the sandbox."""
    return lambda *argv, **options: ipc.spawn([*sandbox, *argv], **options)


@pytest.fixture
def inside(run: Callable[..., Program]) -> Callable[..., Any]:
    """Return the answer of a probe in the sandbox. OSError does not occur: a failed call is a Deviation."""

    def ask(probe: str, *arguments: object) -> Any:
        answer = _answer(run(sys.executable, HERE / "probes.py", probe, *map(str, arguments)))
        if "errno" in answer:
            raise Deviation("success", f"{answer['call']} ({answer['errno']})")
        return answer["value"]

    return ask


@pytest.fixture
def refused(run: Callable[..., Program]) -> Callable[..., None]:
    """Check that a probe in the sandbox fails with an errno."""

    def ask(errno: str, probe: str, *arguments: object) -> None:
        answer = _answer(run(sys.executable, HERE / "probes.py", probe, *map(str, arguments)))
        if answer.get("errno") != errno:
            raise Deviation(errno, f"{probe} gave {answer}")

    return ask


def _answer(program: Program) -> dict[str, Any]:
    assert program.wait(timeout=30) == 0, program.stderr
    answer: dict[str, Any] = json.loads(program.stdout)
    return answer
