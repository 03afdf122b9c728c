"""A timeline shows what overlapped what, and how each call ended."""

from __future__ import annotations

from errno import EAGAIN
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH
from xml.etree import ElementTree

from conformance.concurrency import timeline
from conformance.concurrency.explain import explain
from conformance.concurrency.history import Fate, History
from conformance.lock.specification import FlockSpec
from conformance.outcome import Fails

from .specs import Line, Register, op

HISTORY = History(
    (
        op("A", 0, 10_000, "write", 1),
        op("B", 1000, 5000, "read", gave=1),
        op("C", 6000, 8000, "read", gave=0),
        op("D", 9000, None, "read", fate=Fate.KILLED),
        op("D", 9500, 12_000, "ends", result=None, fate=Fate.ENDED),
        op("B", 11_000, None, "read"),
    )
)


def test_each_worker_has_a_line_and_each_call_a_row():
    assert timeline.text(HISTORY, marked=2) == [
        "A  [1-------------------]",
        "B     [2-]                 [6-----...",
        "C           [3-]",
        "D                 [4-[5-------x",
        " 1  A  write(1)                returned                0.0 to 10.0 µs",
        " 2  B  read()                  gave 1                   1.0 to 5.0 µs",
        "*3  C  read()                  gave 0                   6.0 to 8.0 µs",
        " 4  D  read()                  was killed in the call  9.0 to 12.0 µs",
        " 5  D  D is killed by SIGKILL                          9.5 to 12.0 µs",
        " 6  B  read()                  sleeps in the call      11.0 to ... µs",
    ]


def test_drawing_is_well_formed_and_escapes_text():
    drawn = timeline.svg(HISTORY, lambda call: f"{call.name}(<&>)", marked=2)
    root = ElementTree.fromstring(drawn)
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 1 + len(HISTORY.operations)
    assert any("read(<&>) gave 0" in title for title in titles)
    assert drawn.count("#b3121d") == 2  # the frame and the ground of the one that is marked


def test_first_call_without_a_valid_order_is_named():
    history = History.of(
        op("A", 0, 9, "write", 1),
        op("B", 1, 2, "read", gave=1),
        op("C", 3, 4, "read", gave=0),
        op("C", 5, 6, "read", gave=5),
    )
    reported = explain(history, Register())
    assert reported is not None
    assert (reported.operation, reported.expected) == (2, "read() in C to give 1")
    assert reported.observed == "it gave 0, which fits no order of the calls"


def test_a_call_that_should_have_waited_is_named():
    reported = explain(History.of(op("A", 0, 1, "take", gave=5)), Line())
    assert reported is not None
    assert reported.expected == "take() in A to wait"


def test_a_call_that_should_not_sleep_is_named():
    history = History((op("A", 0, 1, "put", 5), op("B", 2, None, "take")), ((9, frozenset({1})),))
    reported = explain(history, Line())
    assert reported is not None
    assert reported.expected == "take() in B to give 5"
    assert reported.observed == "it slept in the call when all others had returned or slept"


def test_of_a_call_of_two_phases_the_results_of_the_last_are_named():
    """Two convert a shared lock at once. Each releases its own first, so one of them must get the other."""
    shared, exclusive, phases = int(LOCK_SH), int(LOCK_EX | LOCK_NB), (("flock", ("releases", "acquires")),)
    history = History.of(
        op("A", 0, 1, "flock", 0, shared),
        op("B", 2, 3, "flock", 1, shared),
        op("A", 4, 8, "flock", 0, exclusive, result=Fails(EAGAIN)),
        op("B", 5, 9, "flock", 1, exclusive, result=Fails(EAGAIN)),
        phases=phases,
    )
    reported = explain(history, FlockSpec())
    assert reported is not None
    assert reported.expected == "flock(LOCK_EX | LOCK_NB) in B to return"


def test_of_many_results_a_few_are_named():
    writes = tuple(op(chr(65 + n), 0, 9, "write", n) for n in range(6))
    reported = explain(History((*writes, op("Z", 10, 11, "read", gave=9))), Register())
    assert reported is not None
    assert reported.expected.startswith("read() in Z to give ")
    assert reported.expected.endswith(" or one of 3 other results")


def test_valid_history_has_no_explanation():
    assert explain(History.of(op("A", 0, 1, "write", 1)), Register()) is None
