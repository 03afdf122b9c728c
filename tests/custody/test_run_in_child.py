"""A task in a forked child: its result, its error, no answer, and no descriptor or process of it afterwards."""

from __future__ import annotations

import os
import signal
from errno import EACCES, EAGAIN, EIO

import pytest

from pytest_ipc import unpatched
from pytest_ipc.custody.run_in_child import NoAnswer, run_in_child
from pytest_ipc.kernel import open_descriptors


def fail_with(errno: int | None, text: str = "reason") -> None:
    raise OSError(errno, text)


@pytest.fixture(autouse=True)
def same_descriptors():
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def test_result_is_that_of_the_task_in_another_process():
    pid, texts = run_in_child(lambda: (os.getpid(), ["a", None, {"b": 1}]))
    assert pid != os.getpid()
    assert texts == ["a", None, {"b": 1}]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_result_may_be_larger_than_a_pipe():
    assert run_in_child(lambda: "x" * 1_000_000) == "x" * 1_000_000


def test_error_has_errno_and_text_of_the_task():
    with pytest.raises(PermissionError, match="reason") as caught:
        run_in_child(lambda: fail_with(EACCES))
    assert (caught.value.errno, caught.value.strerror) == (EACCES, "reason")


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: fail_with(None), "reason"),
        (lambda: os._exit(0), "a child ended without a result"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "a child ended without a result"),
        (lambda: object(), "a child ended without a result"),
    ],
    ids=["exception", "no errno", "exit", "kill", "no JSON"],
)
def test_anything_else_is_no_answer(task, text):
    with pytest.raises(NoAnswer, match=text) as caught:
        run_in_child(task)
    assert caught.value.errno == EIO


def test_silent_child_is_killed():
    with pytest.raises(NoAnswer, match=r"waited 0\.05 s for the result of a child"):
        run_in_child(signal.pause, 0.05)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_failed_fork_leaks_no_descriptor(monkeypatch):
    monkeypatch.setattr(unpatched.os, "fork", lambda: fail_with(EAGAIN))
    with pytest.raises(BlockingIOError):
        run_in_child(os.getpid)


def test_interrupted_wait_leaves_no_child(monkeypatch):
    def interrupt(_read: int, _patience: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_ipc.custody.run_in_child._read_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_in_child(os.getpid)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
