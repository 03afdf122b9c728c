"""Statistics of given samples: medians, percentiles, spread, noise, the floor, and the sentence of the textbooks."""

from __future__ import annotations

import pytest

from pytest_ipc.verdict.bench import floor, textbook, units
from pytest_ipc.verdict.bench.figures import percentile, summarize

from .benchmarks import CALLS, figure


@pytest.mark.parametrize(("percent", "expected"), [(99, 99), (50, 50), (100, 100), (1, 1), (0, 1)])
def test_percentile_is_the_nearest_rank(percent, expected):
    assert percentile(range(1, 101), percent) == expected


def test_percentile_of_few_samples():
    assert percentile([7], 99) == 7
    assert percentile([1, 2, 3], 99) == 3


def test_figure_of_repetitions():
    found = summarize("pipe", "latency", 1, [[1.0, 2.0, 30.0], [3.0, 4.0, 5.0]])
    assert (found.median, found.low, found.high) == (3.5, 2.0, 4.0)
    assert (found.samples, found.repetitions) == (6, 2)
    assert found.p99 is None  # of six samples it would be the largest


def test_p99_needs_100_samples():
    samples = [float(number) for number in range(1, 101)]
    assert summarize("pipe", "latency", 1, [samples[:99]]).p99 is None
    assert summarize("pipe", "latency", 1, [samples[:40], samples[40:]]).p99 == 99
    assert summarize("pipe", "bandwidth", 1, [samples]).p99 is None


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="needs at least 1 sample"):
        summarize("pipe", "latency", 1, [[]])


def test_spread_is_half_the_range_of_the_repetitions():
    assert figure("pipe", "latency", 1, 90, 100, 110).spread == pytest.approx(0.1)
    assert figure("pipe", "latency", 1, 100).spread is None


def test_disturbed_repetition_among_five_is_left_out_of_the_spread():
    found = figure("pipe", "latency", 1, 100, 102, 104, 106, 900)
    assert (found.low, found.high, found.is_noise) == (102, 106, False)
    assert figure("pipe", "latency", 1, 100, 102, 104, 900, 900).is_noise
    assert figure("pipe", "latency", 1, 100, 102, 104, 900).is_noise  # of four, none


@pytest.mark.parametrize(
    ("medians", "noise"),
    [((100, 100), False), ((100, 140), False), ((100, 200), True), ((100,), False), ((-5, 5), True), ((0, 0), True)],
)
def test_noise_is_named(medians, noise):
    assert figure("pipe", "latency", 1, *medians).is_noise is noise


def test_figure_near_its_floor_is_mostly_calls():
    assert figure("pipe", "latency", 1, 1000, floor=600).is_mostly_calls
    assert not figure("pipe", "latency", 1, 1300, floor=600).is_mostly_calls
    assert figure("pipe", "bandwidth", 1, 1000, floor=1900).is_mostly_calls
    assert not figure("pipe", "bandwidth", 1, 1000, floor=2100).is_mostly_calls
    assert not figure("fork", "duration", 0, 1000).is_mostly_calls


def test_better_means_outside_of_both_spreads():
    fast, slow = figure("pipe", "latency", 1, 90, 100), figure("fifo", "latency", 1, 110, 120)
    between = figure("inet", "latency", 1, 95, 115)
    assert fast.is_better_than(slow) is True
    assert slow.is_better_than(fast) is False
    assert fast.is_better_than(between) is None
    assert fast.is_better_than(figure("inet", "latency", 1, 200, 900)) is None  # noise


def test_more_bandwidth_is_better():
    slow, fast = figure("pipe", "bandwidth", 1, 90, 100), figure("fifo", "bandwidth", 1, 110, 120)
    assert fast.is_better_than(slow) is True
    assert slow.is_better_than(fast) is False


def test_a_difference_that_python_makes_decides_nothing():
    """The same figures without Python's time would be in the other order."""
    native = figure("shm-futex", "latency", 1, 2000, 2010, python=1000)
    builtin = figure("pipe", "latency", 1, 1800, 1810, python=100)
    assert builtin.is_better_than(native) is None
    assert native.is_better_than(builtin) is None


def test_floor_counts_calls_by_way():
    assert floor.total(CALLS, {"builtin": 2, "native": 1}) == (850, 320)
    assert floor.total(CALLS, {}) == (0, 0)


def test_every_way_of_calling_has_a_cost():
    costs = floor.measure()
    assert [*costs] == ["builtin", "native", "memory"]
    assert all(cost.empty > 0 and cost.python > 0 for cost in costs.values())


def test_sentence_of_the_textbooks_where_it_holds():
    figures = [
        figure("shm-futex", "latency", 1, 80, 82),
        figure("shm-futex", "latency", 1024, 80, 82),
        figure("shm-polled", "latency", 1, 5, 6),
        figure("pipe", "latency", 1, 70, 72),
        figure("pipe", "latency", 1024, 90, 92),
        figure("eventfd", "latency", 1, 10, 11),  # transfers no data
        figure("shm-futex", "bandwidth", 1, 10, 11),
        figure("inet", "bandwidth", 1, 10, 11),
        figure("inet", "bandwidth", 64, 10, 11),  # no figure of shared memory
    ]
    found = {(j.quantity, j.form, j.size): j.verdict for j in textbook.judge(figures)}
    assert found == {
        ("latency", "sleeping", 1): "fails",
        ("latency", "sleeping", 1024): "holds",
        ("latency", "polling", 1): "holds",
        ("bandwidth", "sleeping", 1): "undecided",
    }
    lines = textbook.sentences(textbook.judge(figures))
    assert lines[0] == (
        "round trip, sleeping: holds for 1 KiB (shared memory, futex 81 ns, pipe 91 ns); "
        "does not hold for 1 B (shared memory, futex 81 ns, pipe 71 ns)"
    )
    assert "undecided for 1 B" in lines[2]


def test_noise_of_a_rival_keeps_the_sentence_undecided():
    shared, pipe = figure("shm-futex", "latency", 1, 80, 82), figure("pipe", "latency", 1, 90, 92)
    noise = figure("fifo", "latency", 1, 60, 200)
    (judgement,) = textbook.judge([shared, pipe, noise])
    assert judgement.verdict == "undecided"
    assert "noise" in judgement.reason
    (judgement,) = textbook.judge([shared, pipe, figure("fifo", "latency", 1, 100, 300)])
    assert judgement.verdict == "holds"  # the noise is slower in every repetition


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (850, "850 ns"),
        (7100, "7.10 µs"),
        (12_345_678, "12.3 ms"),
        (999_600, "1.00 ms"),
        (-40, "-40 ns"),
        (5e12, "5000 s"),
    ],
)
def test_times_have_three_digits(value, text):
    assert units.duration(value) == text


def test_sizes_and_bandwidths():
    assert [units.size(count) for count in (1, 64, 1024, 5000, 1 << 20, 16 << 20)] == [
        *("1 B", "64 B", "1 KiB", "5000 B", "1 MiB", "16 MiB")
    ]
    assert units.bandwidth(5.21e9) == "5.21 GB/s"
    assert units.bandwidth(340e6) == "340 MB/s"
