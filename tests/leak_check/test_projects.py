"""The runs of other projects distinguish a leak from what a library keeps, and need a suite that runs."""

from __future__ import annotations

import pytest

from ..harmless.projects import Suite
from . import projects

SUITE = """
import os, threading

KEPT = []

def test_nothing():
    pass

def test_leaks():
    os.open("/dev/null", os.O_RDONLY)

def test_changes_a_setting():
    os.environ["PLANTED"] = "1"

def test_fills_a_cache():
    if not KEPT:
        KEPT.append(open("/dev/null"))
"""


@pytest.fixture
def suite(tmp_path) -> Suite:
    (tmp_path / "test_it.py").write_text(SUITE)
    return Suite(tmp_path, ("test_it.py",), ("--rootdir", str(tmp_path), "-c", "/dev/null"), least=3)


def test_leak_differs_from_a_cache(suite, tmp_path, capsys):
    assert not projects.silent_or_right("planted", lambda _folder: suite, tmp_path)
    first, *lines, counted = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert first == "planted: 4 tests, 4 passed, 3 charged with leaks"
    verdicts = {line.partition("test_it.py::")[2].partition(":")[0]: line.partition(":")[0] for line in lines}
    assert verdicts == {
        "test_leaks": "real",
        "test_changes_a_setting": "real",
        "test_fills_a_cache": "false alarm",
    }
    assert counted == "2 real, 1 false alarm"


def test_suite_without_reports_is_right(suite, tmp_path, capsys):
    (tmp_path / "test_it.py").write_text("".join(f"def test_{number}(): pass\n" for number in range(3)))
    assert projects.silent_or_right("planted", lambda _folder: suite, tmp_path)
    assert capsys.readouterr().out == "planted: 3 tests, 3 passed, 0 charged with leaks\n"


def test_suite_that_does_not_run_is_not_right(suite, tmp_path, capsys):
    (tmp_path / "test_it.py").write_text("import nothing_of_that_name\n")
    assert not projects.silent_or_right("planted", lambda _folder: suite, tmp_path)
    assert "which is not a run: at least 3 were expected" in capsys.readouterr().out
