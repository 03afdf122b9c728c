"""Series: each runs at its smallest size, and how costs grow is judged rightly, and drawn."""

from __future__ import annotations

import pytest

from benchmarks import results
from benchmarks.rounds import Figures
from benchmarks.series import Growth
from benchmarks.table import ROWS, SERIES, find

from .test_harness import PATIENCE, batched, benchmarks


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        ({0: 10.0, 100: 11.0, 1000: 12.0}, "flat"),
        ({1: 10.0, 100: 11.0, 1000: 100.0}, "linear"),
        ({1: 10.0, 100: 11.0, 1000: 1100.0}, "worse than linear"),
    ],
)
def test_growth_of_an_operation_is_judged_by_its_cost(costs, verdict):
    assert Growth(costs, each=False).verdict == verdict


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        ({1: 100.0, 10: 12.0, 100: 11.0}, "linear"),  # the cost of each of them includes a part of what is common
        ({1: 10.0, 10: 10.0, 100: 15.5}, "worse than linear"),
    ],
)
def test_growth_of_each_of_many_is_judged_by_the_cost_of_one(costs, verdict):
    assert Growth(costs, each=True).verdict == verdict


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("some", batched(SERIES.values(), 4), ids=lambda some: some[0].name)
def test_series_run_once_at_their_smallest_size(some):
    run = benchmarks("--rounds", "1", *(f"{series.name}@{series.sizes[0]}" for series in some))
    assert run.returncode == 0, run.stderr
    for series in some:
        assert f"{series.title} {series.sizes[0]} {series.axis}" in run.stdout


def test_no_row_has_the_name_of_a_series():
    assert not ROWS.keys() & SERIES.keys()


def test_a_size_of_a_series_is_a_row():
    row = find("children-start@50")
    assert row.title == "the start of a child, one of 50 children"
    with pytest.raises(KeyError):
        find("children-start@51")


def test_a_page_has_a_chart_of_each_series(tmp_path):
    file, page = tmp_path / "samples.json", tmp_path / "speed.md"
    series = SERIES["children-start"]
    found = {
        row.name: {"ours": Figures([size * 1e-6], [size * 1e-6]), "peer": Figures([1e-6], [1e-6])}
        for size, row in series.rows().items()
    }
    results.write(file, found, {"commit": "abc"})
    run = benchmarks("--from", str(file), "--markdown", str(page))
    assert run.returncode == 0, run.stderr
    costs = "1 (1), 10.0 (10), 50.0 (50), 100 (100), 200 (200) µs"
    assert (
        f"| the start of a child, one of … children | {costs} | 200.00 | 1.00, os.fork | **worse than linear** |"
        in page.read_text()
    )
    assert "](speed/children-start.svg)" in page.read_text()
    svg = (tmp_path / "speed" / "children-start.svg").read_text()
    assert "pytest-ipc" in svg
    assert "os.fork" in svg
    assert "<script" not in svg
    assert "http" not in svg.replace("http://www.w3.org/", "")
