"""Every benchmark runs, and its samples become a table; no time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from benchmarks import markdown, results
from benchmarks.reasons import REASONS
from benchmarks.rounds import Figures
from benchmarks.table import ROWS

Thing = TypeVar("Thing")

PATIENCE = 500  # seconds: rows are runs of pytest and more, on a machine that may have much else to do
ROOT = Path(__file__).parents[2]


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def batched(things: Iterable[Thing], size: int) -> list[list[Thing]]:
    """Return *things* in lists of *size*; itertools has it since Python 3.12."""
    every = list(things)
    return [every[at : at + size] for at in range(0, len(every), size)]


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("names", batched(ROWS, 3), ids=lambda names: names[0])
def test_rows_run_once(names, tmp_path):
    file = tmp_path / "samples.json"
    run = benchmarks("--rounds", "1", "--json", str(file), *names)
    assert run.returncode == 0, run.stderr
    found, metadata = results.read(file)
    assert [name for name in names if name in found or f"{name} is not measured: " in run.stderr] == names
    for figures in (figures for ways in found.values() for figures in ways.values()):
        assert len(figures.wall) == len(figures.cpu) == 1
    assert {"date", "commit", "platform", "cpu_count", "python_version", "load_avg_1min"} <= metadata.keys()
    assert "hostname" not in metadata


def test_a_table_is_generated_from_samples(tmp_path):
    file, page = tmp_path / "samples.json", tmp_path / "speed.md"
    ways = {
        "ours": Figures([2e-6] * 5, [3e-6] * 5),
        "peer": Figures([2e-6] * 5, [2e-6] * 5),
        "floor": Figures([1e-6] * 5, [1e-6] * 5),
    }
    metadata: dict[str, str | int | float] = {
        "date": "2026-01-02 03:04",
        "commit": "abc",
        "cpu_count": 2,
        "platform": "Linux",
        "load_avg_1min": 1.0,
    }
    results.write(file, {"pipe": ways, "fork": ways}, metadata)
    run = benchmarks("--from", str(file), "--markdown", str(page))
    assert run.returncode == 0, run.stderr
    assert "1 goals missed: fork" in run.stdout
    text = page.read_text()
    assert "Commit abc, measured 2026-01-02 03:04 UTC" in text
    assert (
        "| pipe: create, close | 3 µs (3) | 2 µs (2) | 1 µs (1) | 1.50 (1.50 to 1.50) | 1.000 (1.000 to 1.000) "
        "| 3.00 (3.00 to 3.00) | 1.5 x | yes | os.pipe, os.close |" in text
    )
    # Only a missed goal has a reason.
    assert f"- **{ROWS['fork'].title}**: Each page" in text
    assert f"**{ROWS['pipe'].title}**" not in text


def test_a_reason_is_of_a_row_with_a_goal():
    assert [name for name in REASONS if name not in ROWS or ROWS[name].goal is None] == []


def test_a_missed_goal_fails_only_a_strict_run(tmp_path):
    file = tmp_path / "samples.json"
    results.write(file, {"pipe": {"ours": Figures([3.0], [3.0]), "peer": Figures([1.0], [1.0])}}, {})
    assert benchmarks("--from", str(file)).returncode == 0
    assert benchmarks("--from", str(file), "--strict").returncode == 1


def test_samples_of_pyperf_are_those_that_were_written(tmp_path):
    file = tmp_path / "samples.json"
    written = {"pipe": {"ours": Figures([3.0, 1.0], [2.0, 5.0])}}
    results.write(file, written, {"commit": "abc"})
    assert results.read(file) == (written, {"commit": "abc", "unit": "second", "name": "pipe/ours/wall"})
    json.loads(file.read_text())


def test_samples_of_several_files_are_joined(tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    old, new, other = (Figures([value], [value]) for value in (1.0, 2.0, 3.0))
    results.write(first, {"pipe": {"ours": old, "peer": old}, "fork": {"ours": other}}, {"commit": "first"})
    results.write(second, {"pipe": {"ours": new}}, {"commit": "second"})
    found, metadata = results.read(first, second)
    assert found == {"pipe": {"ours": new}, "fork": {"ours": other}}
    assert metadata["commit"] == "first"


def test_two_revisions_of_a_row_are_compared():
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("this is not a clone: no other revision to compare with")
    run = benchmarks("--rounds", "1", "--against", "HEAD", "pipe")
    assert run.returncode == 0, run.stderr
    assert "pipe: create, close" in run.stdout


def test_an_unknown_revision_is_named():
    run = benchmarks("--against", "no-such-revision", "pipe")
    assert run.returncode == 2
    assert "--against must be a revision of this git repository, not 'no-such-revision'" in run.stderr


def test_an_unknown_row_is_named():
    run = benchmarks("no-such-row")
    assert run.returncode == 2
    assert "no-such-row is not a row or a series; rows are fork, " in run.stderr


def test_a_difference_between_revisions_is_clear_if_its_interval_excludes_none():
    def compared(here: list[float]) -> str:
        ways = {"ours": Figures(here, here), "peer": Figures([10.0] * 20, [10.0] * 20)}
        return markdown.changes({"pipe": ways}, "main")[1][-1]

    assert compared([9.0, 9.5] * 10) == "faster"
    assert compared([11.0] * 20) == "slower"
    assert compared([9.0, 11.0] * 10) == "no clear difference"
