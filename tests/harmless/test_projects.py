"""The comparison of other projects' outcomes finds a test that the plugin changes, and one that is flaky."""

from __future__ import annotations

import pytest

from . import projects

SUITE = """
import os
import sys

def test_always():
    pass

def test_with_the_plugin_it_fails():
    assert "pytest_ipc.plugin.hooks" not in sys.modules

def test_with_the_plugin_it_is_skipped():
    import pytest
    if "pytest_ipc.plugin.hooks" in sys.modules:
        pytest.skip("changed")

def test_every_second_time_it_fails():
    count = len(open("count").read()) if os.path.exists("count") else 0
    with open("count", "a") as file:
        file.write(".")
    assert count % 2 == 0

def test_in_teardown(request):
    request.addfinalizer(fails)

def fails():
    assert "pytest_ipc.plugin.hooks" not in sys.modules
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.setattr(projects, "REPEATED", 2)
    (tmp_path / "test_it.py").write_text(SUITE)
    return projects.Suite(tmp_path, ("test_it.py",), ("--rootdir", str(tmp_path), "-c", "/dev/null"), least=3)


def test_change_by_the_plugin_differs_from_flakiness(suite, tmp_path, capsys):
    assert not projects.same("planted", lambda _folder: suite, tmp_path)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "planted: 5 tests, 5 passed, 4 to be repeated, 1 flaky without the plugin"
    assert [line.partition(":")[0] for line in lines[1:]] == ["flaky", "DIFFERS", "DIFFERS", "DIFFERS"]
    assert "test_every_second_time" in lines[1]
    assert lines[2].endswith(
        "setup passed, call passed, teardown passed without the plugin, "
        "setup passed, call passed, teardown failed with it"
    )
    assert "test_with_the_plugin_it_fails" in lines[3]
    assert "call skipped, teardown passed with it" in lines[4]


def test_a_suite_that_does_not_run_is_not_the_same(suite, tmp_path, capsys):
    (tmp_path / "test_it.py").write_text("import nothing_of_that_name\n")
    assert not projects.same("planted", lambda _folder: suite, tmp_path)
    assert "which is not a run: at least 3 were expected" in capsys.readouterr().out


def test_equal_outcomes_are_equal(suite, tmp_path, capsys):
    (tmp_path / "test_it.py").write_text("".join(f"def test_{number}(): pass\n" for number in range(3)))
    assert projects.same("planted", lambda _folder: suite, tmp_path)
    assert capsys.readouterr().out == "planted: 3 tests, 3 passed, the same\n"
