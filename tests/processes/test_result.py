"""What comes back from a child: values of any size and class, exceptions with the child's traceback, or its end."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator

import pytest

from pytest_ipc import Child, ChildDied, Deviation, RemoteError, scope, unpatched


class Refuses:
    """Cannot be pickled."""

    def __reduce__(self):
        raise TypeError("not over the wire")


class Unreadable:
    """Goes out and does not come back."""

    def __reduce__(self):
        return int, ("not a number",)


class WantsTwo(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("value", [None, 0, "", {"a": [1, (2,)]}, OSError(2, "a value"), int, os.getpid])
def test_result_is_returned(fork, value):
    result = fork(lambda: value).result()
    assert (type(result), repr(result)) == (type(value), repr(value))


def test_a_result_of_ten_megabytes_needs_no_reader(fork):
    child = fork(lambda: os.urandom(10_000_000))
    assert child.wait() == 0
    assert len(child.result()) == 10_000_000
    assert child.result() == child.result()


def test_arguments_arrive(fork):
    assert fork(lambda *args, **kwargs: (args, kwargs), 1, b"x", c=[2]).result() == ((1, b"x"), {"c": [2]})


def test_instance_of_a_local_class_is_returned(fork):
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

        class Inner:
            pass

    found, inner, cls = fork(lambda: (Local(7), Local.Inner(), Local)).result()
    assert (type(found), found.value, type(inner), cls) == (Local, 7, Local.Inner, Local)


def test_exception_is_raised_with_the_childs_traceback(fork):
    child = fork(fail, OSError(17, "mine"))
    with pytest.raises(FileExistsError, match="mine") as caught:
        child.result()
    (note,) = caught.value.__notes__
    assert note.startswith(f"in <child {child.pid} (fail)>:\nTraceback (most recent call last):")
    assert "raise error" in note
    assert "remote.py" not in note


@pytest.fixture
def touchy() -> Iterator[type]:
    """Add a class that warns on comparison, as deprecated ones of the stdlib do, to the subclasses of object."""

    class Touchy(type):
        def __eq__(cls, other: object) -> bool:
            warnings.warn("compared", DeprecationWarning, stacklevel=2)
            return cls is other

        def __hash__(cls) -> int:
            warnings.warn("hashed", DeprecationWarning, stacklevel=2)
            return 1

    made = Touchy("made", (), {})
    yield made
    del made
    gc.collect()


@pytest.mark.usefixtures("touchy")
@pytest.mark.parametrize("outcome", ["local class", "skip"])
def test_class_that_warns_on_comparison_is_harmless(fork, outcome):
    """With warnings as errors, as in this project's tests, the search for the class of a result would fail at it."""

    class Local(Exception):
        pass

    def life():
        if outcome == "skip":
            pytest.skip("in the child")
        raise Local("in the child")

    with pytest.raises(pytest.skip.Exception if outcome == "skip" else Local, match="in the child"):
        fork(life).result()


def test_an_exception_keeps_its_notes_and_causes(fork):
    def life():
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            error = ValueError("the effect")
            error.add_note("a note")
            raise error from cause

    with pytest.raises(ValueError, match="the effect") as caught:
        fork(life).result()
    assert caught.value.__notes__[0] == "a note"
    assert "KeyError: 'the cause'" in caught.value.__notes__[1]


def test_exception_of_a_local_class_is_raised(fork):
    class Local(Exception):
        pass

    with pytest.raises(Local, match="here"):
        fork(fail, Local("here")).result()


def test_exception_of_a_class_created_in_the_child_becomes_text(fork):
    def life():
        class Late(Exception):
            pass

        raise Late("made after the fork")

    with pytest.raises(RemoteError, match="Late: made after the fork") as caught:
        fork(life).result()
    assert 'raise Late("made after the fork")' in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("error", "text"),
    [(WantsTwo("one", "two"), "WantsTwo: one and two"), (ValueError("it has", Refuses()), r"ValueError: \('it has'")],
    ids=["does not unpickle", "does not pickle"],
)
def test_exception_that_cannot_be_pickled_becomes_text(fork, error, text):
    with pytest.raises(RemoteError, match=text) as caught:
        fork(fail, error).result()
    assert "raise error" in caught.value.__notes__[0]


def test_exception_that_unpickles_as_another_object_becomes_text(fork):
    class Changes(Exception):
        def __reduce__(self):
            return int, (7,)

    with pytest.raises(RemoteError, match="Changes: text"):
        fork(fail, Changes("text")).result()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Refuses(), "the result <.*Refuses object.*> cannot be sent to the parent: not over the wire"),
        (lambda: None, "the result <function .*> cannot be sent to the parent"),
        (Unreadable(), "the result <.*Unreadable object.*> cannot be read by the parent: invalid literal"),
    ],
    ids=["refuses", "lambda", "unreadable"],
)
def test_a_result_that_cannot_travel_is_an_error_that_says_so(fork, value, text):
    with pytest.raises(RemoteError, match=text):
        fork(lambda: value).result()


def test_a_result_whose_repr_fails_is_named_all_the_same(fork):
    class Hopeless(Refuses):
        def __repr__(self):
            raise RuntimeError("no name")

    with pytest.raises(RemoteError, match="<Hopeless whose repr fails: no name> cannot be sent"):
        fork(Hopeless).result()


def test_pytests_own_outcomes_pass_through(fork):
    with pytest.raises(pytest.skip.Exception, match="not here"):
        fork(pytest.skip, "not here").result()
    with pytest.raises(pytest.fail.Exception, match="failed there"):
        fork(pytest.fail, "failed there").result()
    with pytest.raises(pytest.xfail.Exception, match="known"):
        fork(pytest.xfail, "known").result()


def test_a_deviation_keeps_both_sides(fork):
    with pytest.raises(Deviation) as caught:
        fork(fail, Deviation("EEXIST", "shmget succeeded with 7")).result()
    assert (caught.value.expected, caught.value.observed) == ("EEXIST", "shmget succeeded with 7")


@pytest.mark.parametrize(
    ("leave", "status"),
    [
        (lambda: os._exit(3), 3),
        (lambda: sys.exit(4), 4),
        (lambda: sys.exit(), 0),
        (lambda: sys.exit("last words"), 1),
        (lambda: sys.exit(1 << 40), 0),
        (lambda: sys.exit(-1), 255),
        (lambda: fail(KeyboardInterrupt()), 130),
        (lambda: os.execv("/bin/sh", ["sh", "-c", "exit 5"]), 5),
    ],
    ids=["_exit", "exit", "exit none", "exit text", "exit huge", "exit negative", "interrupt", "exec"],
)
def test_child_that_exits_has_a_status_and_no_result(fork, leave, status):
    child = fork(leave)
    with pytest.raises(ChildDied, match=f"exited with status {status} and without a result") as caught:
        child.result()
    assert (caught.value.status, child.status, child.wait()) == (status, status, status)


def test_message_of_sys_exit_is_output(fork):
    with pytest.raises(ChildDied, match="its output was:\nlast words"):
        fork(sys.exit, "last words").result()


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGTERM, signal.SIGRTMIN + 1])
def test_a_child_killed_by_a_signal_has_its_number(fork, signo):
    child = fork(lambda: os.kill(os.getpid(), signo))
    with pytest.raises(ChildDied, match=r"was killed by (SIG|signal )\w+") as caught:
        child.result()
    assert caught.value.status == -signo


def test_a_child_that_dies_while_it_reports_has_no_result(fork, monkeypatch):
    def life():
        whole = os.write

        def write(fd, data):
            if len(data) > 1000:
                whole(fd, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(fd, data)

        monkeypatch.setattr(unpatched.os, "write", write)
        return bytes(100_000)

    with pytest.raises(ChildDied, match="was killed by SIGKILL"):
        fork(life).result()


def test_patched_exit_that_returns_ends_the_child(fork, monkeypatch):
    monkeypatch.setattr(os, "_exit", lambda _status: None)
    with pytest.raises(ChildDied, match="was killed by SIGKILL"):
        fork(lambda: os.kill(os.getpid(), signal.SIGKILL)).result()
    child = fork(lambda: 7)
    assert child.wait() == -signal.SIGKILL
    assert child.result() == 7


def test_a_fork_that_fails_keeps_no_descriptor(fork, monkeypatch):
    from pytest_ipc.kernel import open_descriptors

    def refuse():
        raise BlockingIOError(11, "no more processes")

    before = open_descriptors()
    monkeypatch.setattr(unpatched.os, "fork", refuse)
    with pytest.raises(BlockingIOError):
        fork(int)
    assert open_descriptors() == before


def test_child_is_named_after_its_function(fork):
    assert repr(fork(os.getpid)).endswith(" (getpid)>")
    with Child.start(lambda: None) as child:
        assert repr(child) == f"<child {child.pid} (<lambda>)>"


@pytest.mark.parametrize("nested", [False, True])
def test_error_before_the_function_starts_is_raised(fork, monkeypatch, nested):
    def refuse() -> None:
        raise PermissionError(1, "no mark can be set here")

    def life() -> int:
        monkeypatch.setattr("pytest_ipc.processes.bootstrap.mark_self", refuse)
        with scope() as ipc:
            return ipc.fork(int).result()

    run = fork(life).result if nested else life
    with pytest.raises(PermissionError, match="no mark can be set here"):
        run()
