"""The rows of progress of several platforms on a terminal."""

from __future__ import annotations

import io
import re
from argparse import Namespace

import pytest
from rich.console import Console

from pytest_ipc.verdict.commands.platforms_screen import PlatformsScreen
from pytest_ipc.verdict.reports.terminal import new_progress
from pytest_ipc.verdict.result import SuiteResult
from pytest_ipc.verdict.runner.remote import Platform

from . import reports


@pytest.fixture
def screen():
    options = Namespace(verbose=0, quiet=0, exitfirst=False, strict=False, strict_expect=False, report=None)
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    return PlatformsScreen(console, new_progress(console), 2, options, {})


def rows(screen: PlatformsScreen) -> list[str]:
    """Return the last state of each row of progress."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.console.file.getvalue())  # type: ignore[attr-defined]
    found = re.findall(r"^(\w+) +\S+ +(\d/\d) (.*?) *$", text.replace("\r", "\n"), re.MULTILINE)
    return [" ".join(row) for row in {name: (name, number, said) for name, number, said in found}.values()]


def test_each_platform_has_a_row_from_the_beginning_to_the_end(screen):
    one, two, none = (Platform(name, ["python3"]) for name in ("one", "two", "none"))
    screen.show_rows([one, two, none])
    assert rows(screen) == ["one 0/2 waiting", "two 0/2 waiting", "none 0/2 waiting"]
    one.described = reports.PLATFORM
    screen.began(one)
    assert not screen.judged(one, "a.one", reports.HOLDS)
    none.refusal = "no Python"
    screen.ended(none)
    assert rows(screen) == ["one 1/2 1 holds", "two 0/2 waiting", "none 0/2 cannot be judged"]
    screen.judged(one, "a.two", reports.DEVIATES)
    one.result = SuiteResult([reports.result("a.one", reports.HOLDS), reports.result("a.two", reports.DEVIATES)])
    screen.ended(one)
    screen.progress.stop()
    assert re.fullmatch(r"one 2/2 judged in \d+\.\d s", rows(screen)[0])
    assert screen.exit_status == 2


def test_an_empty_line_is_between_the_deviations_and_the_table(screen):
    screen.console = Console(file=io.StringIO(), width=60)
    screen.options.__dict__.update(durations=None, annotations="none")
    box = Platform("box", ["python3"], dict(reports.PLATFORM))
    box.result = SuiteResult([reports.result("a.one", reports.DEVIATES)])
    screen.began(box)
    screen.ended(box)
    screen.end([box])
    lines = [line.rstrip() for line in screen.console.file.getvalue().splitlines()]
    table = next(number for number, line in enumerate(lines) if line.startswith("platform "))
    assert lines[table - 1] == ""
    assert "observed: " in lines[table - 2]
    assert lines[table].split() == ["platform", "holds", "untested", "absent", "disputed", "deviates"]
