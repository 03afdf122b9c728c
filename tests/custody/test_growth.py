"""The ledger stays short, and is whole at every moment of its being cut back: among threads and handlers, too."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

import pytest_ipc.custody.ledger as ledger_module
from pytest_ipc import unpatched
from pytest_ipc.custody.ledger import LONGEST
from pytest_ipc.custody.record import made_by
from pytest_ipc.custody.state_dir import StateDirError, state_dir_path

from .parsed import parsed, records


@pytest.mark.parametrize("kept", [0, 3])
def test_it_does_not_grow_with_the_run(own, monkeypatch, kept):
    """100,000 objects come and go, with nothing else open and with a few that live long."""
    monkeypatch.setattr(made_by, "test", "test_long")
    long = [own.intend("fifo", {"path": f"/nowhere/{number}"}) for number in range(kept)]
    monkeypatch.setattr(made_by, "test", "test_short")
    path, largest = os.path.join(state_dir_path(), own.name), 0
    for number in range(100_000):
        record = own.intend("sysv-shm", {"key": number, "size": 1, "ipc": ""})
        record.made(id=number)
        if number % 16 == 0:
            largest = max(largest, os.path.getsize(path))
        record.closed()
    assert 0.9 * ledger_module.CUT_BACK < largest < ledger_module.CUT_BACK + 3 * LONGEST
    found = parsed(own)
    assert [(entry.details["path"], entry.test) for entry in found.open] == [
        (f"/nowhere/{number}", "test_long") for number in range(kept)
    ]
    assert found.unreadable == 0
    for record in long:
        record.closed()
    assert parsed(own).open == []
    assert os.listdir(state_dir_path()) == [own.name]


def test_open_objects_stay_on_record_during_the_rewrite(own, monkeypatch):
    """Every system call of it is looked at from outside, and so is what it leaves when it fails there."""
    kept = own.intend("fifo", {"path": "/nowhere"})
    looked: list[str] = []

    def failing(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments, **named):
            assert [entry.details["path"] for entry in parsed(own).open] == ["/nowhere"]
            if rewriting and name not in looked:
                looked.append(name)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(*arguments, **named)

        return call

    rewriting = True
    steps = ("unlink", "write", "rename")
    for name in steps:
        with monkeypatch.context() as patch:
            patch.setattr(unpatched.os, name, failing(name))
            with pytest.raises(StateDirError, match="Input/output error"):
                own._rewrite()
        assert [entry.details["path"] for entry in parsed(own).open] == ["/nowhere"]
    assert looked == list(steps)
    own._rewrite()
    assert records(own) == ['+ 1 fifo {"at": ' + records(own)[0].split('"at": ')[1]]
    kept.closed()
    assert parsed(own).open == []


def test_threads_do_not_lose_each_others_records(own, monkeypatch):
    monkeypatch.setattr(ledger_module, "CUT_BACK", 1)
    own._cut_back = 1
    failures: list[object] = []

    def work(name):
        try:
            for number in range(300):
                record = own.intend("fifo", {"path": f"/{name}/{number}"})
                record.made(dev=1, ino=number)
                if f"/{name}/{number}" not in {entry.details["path"] for entry in parsed(own).open}:
                    failures.append((name, number))
                record.closed()
        except BaseException as error:  # noqa: BLE001 - it is raised in the test below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert parsed(own).open == []


def test_a_signals_handler_may_make_objects_in_the_middle_of_it(own, monkeypatch):
    monkeypatch.setattr(ledger_module, "CUT_BACK", 1)
    own._cut_back = 1
    kept: list[str] = []

    def handler(_signo, _frame):
        path = f"/kept/{len(kept)}"
        kept.append(path)  # now, for another signal may come in between
        own.intend("fifo", {"path": path})
        own.intend("fifo", {"path": "/gone"}).closed()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for number in range(100_000):
            own.intend("fifo", {"path": f"/{number}"}).closed()
            if len(kept) >= 50:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(kept) >= 50
    assert {entry.details["path"] for entry in parsed(own).open} == set(kept)
