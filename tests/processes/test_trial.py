"""trial(): the error that a call would raise here, found out in a child without side effects."""

from __future__ import annotations

import os
import signal
from errno import EACCES, EAGAIN, EBADF

import pytest

from pytest_ipc import trial, unpatched
from pytest_ipc.kernel import open_descriptors


def fail_with(errno: int) -> None:
    raise OSError(errno, os.strerror(errno))


def test_successful_call_is_no_error():
    assert trial(os.getpid) is None


def test_error_is_returned_unchanged():
    refusal = trial(lambda: fail_with(EACCES))
    assert refusal is not None
    assert (refusal.errno, refusal.strerror, type(refusal)) == (EACCES, "Permission denied", PermissionError)


@pytest.mark.parametrize(
    "call",
    [lambda: 1 / 0, lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: fail_with(None)],  # type: ignore[arg-type]
    ids=["exception", "exit", "kill", "no errno"],
)
def test_whatever_else_happens_is_a_refusal_too(call):
    assert "the trial call failed" in str(trial(call))


def test_failed_fork_leaks_no_descriptor(monkeypatch):
    before = open_descriptors()
    monkeypatch.setattr(unpatched.os, "fork", lambda: fail_with(EAGAIN))
    with pytest.raises(BlockingIOError):
        trial(os.getpid)
    assert open_descriptors() == before


def test_trial_has_no_side_effects(tmp_path):
    before = open_descriptors()
    assert trial(lambda: os.chdir(tmp_path)) is None
    assert trial(lambda: os.close(before[-1])) is None
    refusal = trial(lambda: os.close(9999))
    assert refusal is not None
    assert refusal.errno == EBADF
    assert os.getcwd() != str(tmp_path)
    assert open_descriptors() == before


def test_it_works_where_children_are_not_waited_for(fork):
    def life():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        refusal = trial(lambda: fail_with(EACCES))
        return trial(os.getpid), refusal and refusal.errno

    assert fork(life).result() == (None, EACCES)
