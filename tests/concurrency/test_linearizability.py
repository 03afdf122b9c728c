"""The search: it accepts what some order explains and nothing else, and gives up rather than accept at its bound."""

from __future__ import annotations

from errno import EAGAIN
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.concurrency.history import Fate, History, Operation
from conformance.concurrency.linearizability import Answer, Bound, check, linearize, results_allowed, steps_of, until
from conformance.outcome import Fails, Gives
from conformance.specification import Call

from .specs import Bag, KeyedRegister, Line, Lock, Register, every_order, op

FITS = {
    "nothing happened": (Register(), History.of()),
    "one after another": (Register(), History.of(op("A", 0, 1, "write", 1), op("B", 2, 3, "read", gave=1))),
    "a read during a write gives the old value": (
        Register(),
        History.of(op("A", 0, 9, "write", 1), op("B", 1, 2, "read", gave=0)),
    ),
    "a read during a write gives the new value": (
        Register(),
        History.of(op("A", 0, 9, "write", 1), op("B", 1, 2, "read", gave=1)),
    ),
    "two writes at once in either order": (
        Register(),
        History.of(
            op("A", 0, 9, "write", 1),
            op("B", 0, 9, "write", 2),
            op("C", 10, 11, "read", gave=1),
        ),
    ),
    "what returned at the moment at which another began may come later": (
        Register(),
        History.of(op("A", 0, 5, "write", 1), op("B", 5, 6, "read", gave=0)),
    ),
    "a killed write that happened": (
        Register(),
        History.of(op("A", 0, None, "write", 1, fate=Fate.KILLED), op("B", 5, 6, "read", gave=1)),
    ),
    "a killed write that did not": (
        Register(),
        History.of(op("A", 0, None, "write", 1, fate=Fate.KILLED), op("B", 5, 6, "read", gave=0)),
    ),
    "an unfinished write that happens late": (
        Register(),
        History.of(
            op("A", 0, None, "write", 1, fate=Fate.UNFINISHED),
            op("B", 5, 6, "read", gave=0),
            op("B", 7, 8, "read", gave=1),
        ),
    ),
    "an interrupted call has no effect": (
        Line(),
        History.of(
            op("A", 0, 9, "take", result=Fails(4), fate=Fate.INTERRUPTED),
            op("B", 10, 11, "put", 1),
            op("B", 12, 13, "take", gave=1),
        ),
    ),
    "a call that sleeps while there is nothing for it": (
        Line(),
        History(
            (op("A", 0, None, "take"), op("B", 1, 2, "put", 1), op("C", 3, 4, "take", gave=1)), ((9, frozenset({0})),)
        ),
    ),
    "a call that slept, and returned when there was something": (
        Line(),
        History((op("A", 0, 20, "take", gave=1), op("B", 11, 12, "put", 1)), ((9, frozenset({0})),)),
    ),
    "a time-out while the queue was empty": (
        Line(),
        History.of(op("A", 0, 9, "poll", result=Fails(EAGAIN)), op("B", 1, 2, "put", 1)),
    ),
    "a lock that the kernel lets go for the dead": (
        Lock(),
        History.of(
            op("A", 0, 1, "acquire"),
            op("A", 5, 9, "ends", result=None, fate=Fate.ENDED),
            op("B", 2, 8, "acquire"),
        ),
    ),
    "a lock that a killed call acquired, and that the kernel let go": (
        Lock(),
        History.of(
            op("A", 0, None, "acquire", fate=Fate.KILLED),
            op("A", 5, 9, "ends", result=None, fate=Fate.ENDED),
            op("B", 10, 12, "acquire"),
        ),
    ),
    "a specification with a choice": (
        Bag(),
        History.of(
            op("A", 0, 1, "put", 1),
            op("A", 2, 3, "put", 2),
            op("B", 4, 5, "take", gave=2),
            op("B", 6, 7, "take", gave=1),
        ),
    ),
    "two points of one call": (
        Lock("A"),
        History(
            (op("A", 0, 20, "swap"), op("B", 5, 6, "acquire"), op("B", 7, 8, "release")),
            phases=(("swap", ("release", "acquire")),),
        ),
    ),
    "a call that sleeps in its second point": (
        Lock("A"),
        History(
            (op("A", 0, None, "swap"), op("B", 5, 6, "acquire")),
            ((9, frozenset({0})),),
            (("swap", ("release", "acquire")),),
        ),
    ),
}

DOES_NOT = {
    "a read of what was never written": (Register(), History.of(op("A", 0, 1, "read", gave=1))),
    "a stale read": (Register(), History.of(op("A", 0, 1, "write", 1), op("B", 2, 3, "read", gave=0))),
    "new, then old": (
        Register(),
        History.of(op("A", 0, 9, "write", 1), op("B", 1, 2, "read", gave=1), op("C", 3, 4, "read", gave=0)),
    ),
    "two readers see two writes in two orders": (
        Register(),
        History.of(
            op("A", 0, 9, "write", 1),
            op("B", 0, 9, "write", 2),
            op("C", 1, 2, "read", gave=1),
            op("C", 3, 4, "read", gave=2),
            op("D", 5, 6, "read", gave=1),
        ),
    ),
    "an item taken twice": (
        Line(),
        History.of(op("A", 0, 1, "put", 1), op("B", 2, 9, "take", gave=1), op("C", 2, 9, "take", gave=1)),
    ),
    "an item lost": (Line(), History.of(op("A", 0, 1, "put", 1), op("B", 2, 3, "poll", result=Fails(EAGAIN)))),
    "a lost wake-up": (
        Line(),
        History((op("A", 0, None, "take"), op("B", 1, 2, "put", 1)), ((9, frozenset({0})),)),
    ),
    "one of two sleepers could return": (
        Line(),
        History(
            (op("A", 0, None, "take"), op("B", 0, None, "take"), op("C", 1, 2, "put", 1)),
            ((9, frozenset({0, 1})),),
        ),
    ),
    "a call that slept though it could have returned": (
        Line(),
        History((op("A", 0, 20, "take", gave=1), op("B", 1, 2, "put", 1)), ((9, frozenset({0})),)),
    ),
    "a time-out while there was something all the time": (
        Line((1,)),
        History.of(op("A", 0, 9, "poll", result=Fails(EAGAIN)), op("B", 1, 2, "put", 2)),
    ),
    "an interrupted call that had an effect": (
        Line((1,)),
        History.of(
            op("A", 0, 9, "take", result=Fails(4), fate=Fate.INTERRUPTED),
            op("B", 10, 11, "poll", result=Fails(EAGAIN)),
        ),
    ),
    "a killed call whose effect comes after the process was dead": (
        Register(),
        History.of(
            op("A", 0, None, "write", 1, fate=Fate.KILLED),
            op("A", 1, 2, "ends", result=None, fate=Fate.ENDED),
            op("B", 5, 6, "read", gave=0),
            op("B", 7, 8, "read", gave=1),
        ),
    ),
    "a lock that stays with the dead": (
        Lock(),
        History(
            (
                op("A", 0, 1, "acquire"),
                op("A", 5, 9, "ends", result=None, fate=Fate.ENDED),
                op("B", 2, None, "acquire"),
            ),
            ((20, frozenset({2})),),
        ),
    ),
    "a lock of the living that the kernel let go": (
        Lock(),
        History.of(
            op("A", 0, 1, "acquire"),
            op("B", 5, 9, "ends", result=None, fate=Fate.ENDED),
            op("C", 10, 12, "acquire"),
        ),
    ),
    "a lock that the dead acquires after the kernel has cleaned up": (
        Lock(),
        History.of(
            op("A", 0, 4, "acquire"),
            op("A", 2, 5, "ends", result=None, fate=Fate.ENDED),
            op("B", 6, 7, "acquire"),
            op("C", 8, 9, "acquire"),
        ),
    ),
    "a specification with a choice gives nothing twice": (
        Bag(),
        History.of(op("A", 0, 1, "put", 1), op("B", 4, 5, "take", gave=1), op("B", 6, 7, "take", gave=1)),
    ),
    "a call that sleeps in its second point though it could return": (
        Lock("A"),
        History((op("A", 0, None, "swap"),), ((9, frozenset({0})),), (("swap", ("release", "acquire")),)),
    ),
    "the points of one call in the other order": (
        Lock(),
        History((op("A", 0, 20, "swap"),), phases=(("swap", ("release", "acquire")),)),
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_a_history_that_some_order_explains_is_accepted(name):
    initial, history = FITS[name]
    assert check(history, initial) is Answer.LINEARIZABLE
    assert every_order(steps_of(history), initial)


@pytest.mark.parametrize("name", DOES_NOT)
def test_history_without_a_valid_order_is_rejected(name):
    initial, history = DOES_NOT[name]
    assert check(history, initial) is Answer.NOT_LINEARIZABLE
    assert not every_order(steps_of(history), initial)


def test_order_found_explains_the_history():
    for initial, history in FITS.values():
        steps = steps_of(history)
        _, order = linearize(steps, initial)
        state = initial
        for number in order:
            if not steps[number].asleep:
                matches = [s for r, s in state.apply(steps[number].call) if steps[number].result in (None, r)]
                state = matches[0]
        assert len(set(order)) == len(order)


def _orders_of_events(operations: int) -> set[tuple[int, ...]]:
    """Yield every order in which *count* calls can begin and return, as lists with each number twice."""
    return set(permutations([number for number in range(operations) for _ in (0, 1)]))


def _timed(order: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    return {
        number: tuple(place for place, each in enumerate(order) if each == number)  # type: ignore[misc]  # two places each
        for number in set(order)
    }


def test_every_history_of_three_calls_on_a_register_is_judged_as_by_trying_all_orders():
    kinds = [("write", (1,), None), ("write", (2,), None), ("read", (), 0), ("read", (), 1), ("read", (), 2)]
    judged = {True: 0, False: 0}
    for order in sorted(_orders_of_events(3)):
        times = _timed(order)
        for chosen in product(kinds, repeat=3):
            history = History(
                tuple(
                    op("ABC"[number], *times[number], name, *arguments, gave=gave)
                    for number, (name, arguments, gave) in enumerate(chosen)
                )
            )
            fits = every_order(steps_of(history), Register())
            assert (check(history, Register()) is Answer.LINEARIZABLE) is fits, history
            judged[fits] += 1
    assert min(judged.values()) > 1000, judged


def test_every_history_of_three_calls_that_wait_or_die_is_judged_as_by_trying_all_orders():
    kinds = [("put", (1,), None), ("take", (), 1), ("poll", (), Fails(EAGAIN))]
    fates = [Fate.RETURNED, Fate.BLOCKED, Fate.KILLED, Fate.INTERRUPTED]
    judged = {True: 0, False: 0}
    for order in sorted(_orders_of_events(3))[::3]:
        times = _timed(order)
        for chosen, ways in product(product(kinds, repeat=3), product(fates, repeat=3)):
            operations = []
            for number, ((name, arguments, gave), fate) in enumerate(zip(chosen, ways, strict=True)):
                begin, end = times[number]
                result = gave if isinstance(gave, Fails) else Gives(gave)
                kept = fate in (Fate.RETURNED, Fate.INTERRUPTED)
                call = Call("ABC"[number], name, arguments)
                operations.append(
                    Operation("ABC"[number], call, begin, end if kept else None, result if kept else None, fate)
                )
            asleep = frozenset(number for number, fate in enumerate(ways) if fate is Fate.BLOCKED)
            history = History(tuple(operations), ((9, asleep),))
            fits = every_order(steps_of(history), Line())
            assert (check(history, Line()) is Answer.LINEARIZABLE) is fits, history
            judged[fits] += 1
    assert min(judged.values()) > 1000, judged


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, list[int]]:
    """A history of a queue that was really made by one call after another, with intervals around these moments."""
    items: list[int] = []
    operations, free = [], dict.fromkeys("ABCD", 0)
    for moment in range(10, 10 * draw(st.integers(1, 9)), 10):
        worker = draw(st.sampled_from([w for w in "ABCD" if free[w] < moment] or ["A"]))
        if free[worker] >= moment:
            continue
        begin = draw(st.integers(free[worker] + 1, moment)) if free[worker] + 1 <= moment else moment
        end = draw(st.integers(moment, moment + 35))
        if draw(st.booleans()) and len(items) < 2:
            items.append(moment)
            operations.append(op(worker, begin, end, "put", moment))
        elif items:
            operations.append(op(worker, begin, end, "take", gave=items.pop(0)))
        else:
            operations.append(op(worker, begin, end, "poll", result=Fails(EAGAIN)))
        free[worker] = end
    return History(tuple(operations)), items


@given(histories())
@settings(max_examples=300, deadline=None, database=None)
def test_sequential_history_is_linearizable(made):
    history, _ = made
    assert check(history, Line()) is Answer.LINEARIZABLE


@given(histories(), st.data())
@settings(max_examples=300, deadline=None, database=None)
def test_changed_result_is_judged_as_by_brute_force(made, data):
    history, _ = made
    operations = [*history.operations][:6]
    takes = [number for number, each in enumerate(operations) if each.call.name == "take"]
    if takes:
        number = data.draw(st.sampled_from(takes))
        old = operations[number]
        operations[number] = Operation(
            old.worker, old.call, old.invoked, old.returned, Gives(data.draw(st.sampled_from((10, 20, 30, 40))))
        )
    changed = History(tuple(operations))
    fits = every_order(steps_of(changed), Line())
    assert (check(changed, Line()) is Answer.LINEARIZABLE) is fits


def test_at_its_bound_the_search_says_that_it_does_not_know():
    writes = tuple(op(chr(65 + n), 0, 99, "write", n) for n in range(12))
    history = History((*writes, op("Z", 100, 101, "read", gave=77)))
    assert check(history, Register(), Bound(configurations=200)) is Answer.UNDECIDED
    assert check(history, Register(), Bound(seconds=0)) is Answer.UNDECIDED
    assert check(history, Register()) is Answer.NOT_LINEARIZABLE


def test_configurations_are_entered_once():
    """All orders of twelve writes are 479,001,600; the sets of them with the last that was written are 24,576."""
    writes = tuple(op(chr(65 + n), 0, 99, "write", n) for n in range(12))
    history = History((*writes, op("Z", 100, 101, "read", gave=77)))
    assert check(history, Register(), Bound(configurations=25_000, seconds=60)) is Answer.NOT_LINEARIZABLE


def test_objects_are_searched_one_by_one():
    """Five objects with five writes each at once are 25 operations; in one search they would exceed the bound."""
    calls = [Operation(f"{key}{n}", Call("A", "write", (n, key)), 0, 99, Gives()) for key in range(5) for n in range(5)]
    reads = [Operation("Z", Call("Z", "read", (key,)), 100, 101, Gives(3)) for key in range(5)]

    history = History(tuple(calls + reads))
    few = Bound(configurations=400)
    assert check(history, KeyedRegister(), few, lambda call: call.arguments[-1]) is Answer.LINEARIZABLE
    stale = History((*calls, *reads[:-1], Operation("Z", Call("Z", "read", (4,)), 100, 101, Gives(9))))
    assert check(stale, KeyedRegister(), few, lambda call: call.arguments[-1]) is Answer.NOT_LINEARIZABLE


def test_pending_call_may_or_may_not_have_taken_effect():
    _, history = DOES_NOT["new, then old"]
    steps = steps_of(history)
    assert linearize(until(steps, 2), Register())[0] is Answer.LINEARIZABLE
    assert linearize(until(steps, 4), Register())[0] is Answer.NOT_LINEARIZABLE
    assert [step.optional for step in until(steps, 2)] == [True, False]


def test_the_results_that_would_have_fitted_are_found():
    history = History.of(op("A", 0, 9, "write", 1), op("B", 0, 9, "write", 2), op("C", 5, 6, "read", gave=7))
    allowed = results_allowed(steps_of(history), 2, Register())
    assert allowed is not None
    assert sorted(result.value for _, result in allowed if isinstance(result, Gives)) == [0, 1, 2]
    assert results_allowed(steps_of(history), 2, Register(), Bound(configurations=2)) is None
