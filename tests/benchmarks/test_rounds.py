"""The statistics of the benchmarks, on given samples."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from benchmarks.clock import Sample, Way
from benchmarks.instructions import parse
from benchmarks.rounds import Figures, Pace, Spread, alternate, percentile
from benchmarks.row import Goal, NotMeasuredError, Row, Unit, difference, ratio


def test_percentiles_are_between_the_two_nearest_values():
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.25) == 2.0
    assert percentile([0.0, 10.0], 0.1) == 1.0
    assert percentile([7.0], 0.9) == 7.0


def test_the_interval_of_a_median_is_all_values_if_there_are_few():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.5, 2.5, 1.0, 3.0)


def test_the_interval_of_a_median_becomes_narrower_with_more_values():
    spread = Spread.of([float(value) for value in range(101)])
    # 101 values: 50.5 - 2.58 * sqrt(101) / 2 = 37.5 of them are below the interval.
    assert (spread.median, spread.least, spread.most) == (50.0, 37.0, 63.0)


def test_ways_are_compared_round_by_round():
    """Twice the load in the second half of the rounds changes no ratio."""
    ours = Figures(wall=[2.0, 2.0, 4.0, 4.0], cpu=[1.0] * 4)
    peer = Figures(wall=[1.0, 1.0, 2.0, 2.0], cpu=[4.0] * 4)
    assert ratio(ours, peer, "wall") == Spread(2.0, 2.0, 2.0, 2.0, 2.0)
    assert ratio(ours, peer, "cpu").median == 0.25
    assert difference(ours, peer, "wall").median == 1.5


def test_each_way_is_first_in_every_second_of_two_ways_rounds():
    order = []

    def way(name: str) -> Way:
        def once(loops):
            order.append((name, loops))
            return Sample(1.0, 2.0)

        return once

    found = alternate({"a": way("a"), "b": way("b")}, Pace(seconds=0, batch=0, least=3, most=3))
    assert order == [("a", 1), ("b", 1), ("b", 1), ("a", 1), ("a", 1), ("b", 1)]
    assert found == {name: Figures([1.0] * 3, [2.0] * 3) for name in "ab"}


def test_a_round_has_as_many_operations_as_fill_the_batch_not_counting_the_first_one():
    asked = []

    def way(loops: int) -> Sample:
        asked.append(loops)
        return Sample(9.0, 0.001) if len(asked) > 1 else Sample(9.0, 9.0)  # the clock is of a busy machine

    alternate({"ours": way}, Pace(seconds=0, batch=0.0195, least=2, most=2))
    assert asked[-2:] == [20, 20]


def test_instructions_are_read_from_perf():
    assert parse("# started on Mon\n\n2041123,,instructions:u,803712,100.00,,\n") == 2041123
    with pytest.raises(NotMeasuredError, match="not supported"):
        parse("<not supported>,,instructions:u,0,100.00,,\n")


def row(goal: Goal | None, clock: str = "wall") -> Row:
    return Row("name", "title", "peer", goal, lambda: nullcontext({}), clock, Unit("ms", 1000))


def test_a_goal_limits_a_ratio_a_difference_or_a_value():
    ways = {"ours": Figures([0.003], [0.005]), "peer": Figures([0.002], [0.001])}
    assert row(Goal("ratio", 1.5)).met(ways) is True
    assert row(Goal("ratio", 1.4)).met(ways) is False
    assert row(Goal("ratio", 1.5), clock="cpu").met(ways) is False
    reached = row(Goal("difference", 1)).reached(ways)
    assert reached is not None
    assert reached.median == 1.0
    assert row(Goal("difference", 0.9)).met(ways) is False
    assert row(Goal("value", 3)).met(ways) is True
    assert row(Goal("value", 2)).met(ways) is False


def test_a_goal_that_could_not_be_measured_is_neither_met_nor_missed():
    assert row(Goal("ratio", 1)).met({"ours": Figures([1.0], [1.0])}) is None
    assert row(None).met({"ours": Figures([1.0], [1.0])}) is None


def test_a_goal_within_the_interval_of_the_median_is_not_clearly_met_or_missed():
    peer = Figures([10.0] * 20, [10.0] * 20)
    goal = row(Goal("ratio", 1))
    assert goal.clear({"ours": Figures([9.0] * 20, [9.0] * 20), "peer": peer})
    assert goal.clear({"ours": Figures([11.0] * 20, [11.0] * 20), "peer": peer})
    assert not goal.clear({"ours": Figures([9.0, 11.0] * 10, [9.0, 11.0] * 10), "peer": peer})
