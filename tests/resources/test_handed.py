"""Objects that are passed to a process of multiprocessing: opened there by key, name or path, and not removed there."""

from __future__ import annotations

import ctypes
import os
import pickle
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Futex, Ipc, Mapping
from pytest_ipc.kernel import IPC_PRIVATE, IPC_RMID, MAP_SHARED, PROT_READ, PROT_WRITE, munmap, shmctl

HOW = ["spawn", "forkserver"]


@pytest.mark.parametrize("how", HOW)
def test_a_process_that_is_passed_an_object_uses_it_and_removes_nothing(pytester, monkeypatch, how):
    # In a pytest of its own: the resource tracker and the fork server live as long as the process that started them.
    monkeypatch.setenv("IPC_HOW", how)
    pytester.makepyfile((Path(__file__).parent / "handing.py").read_text())
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", "--ipc-leaks=error", "-x")
    result.assert_outcomes(passed=7)
    assert "resource_tracker" not in result.stderr.str()


@pytest.mark.parametrize(
    "make",
    [
        lambda ipc: ipc.sysv_shm(),
        lambda ipc: ipc.sysv_sem(2),
        lambda ipc: ipc.sysv_msg(key=IPC_PRIVATE),
        lambda ipc: ipc.posix_shm(),
        lambda ipc: ipc.posix_sem(),
        lambda ipc: ipc.posix_mq(maxmsg=1, msgsize=8),
        lambda ipc: ipc.fifo(),
        lambda ipc: ipc.file_lock(),
        lambda ipc: ipc.mapped_file(),
    ],
    ids="segment set queue shm semaphore mq fifo lock mapping".split(),
)
def test_a_handle_in_the_same_process_is_a_second_one(ipc: Ipc, make: Callable[[Ipc], Any]):
    it = make(ipc)
    before = len(os.listdir("/proc/self/fd"))
    other = pickle.loads(pickle.dumps(it))
    assert type(other) is type(it)
    assert other not in ipc.scope.owned()
    again = pickle.loads(pickle.dumps(other))
    other.close()
    again.close()
    if hasattr(it, "exists"):
        assert it.exists()
    if hasattr(it, "path"):
        assert it.path.exists()
    del other, again
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_dropped_handle_is_closed(ipc: Ipc):
    for it in (ipc.posix_shm(), ipc.posix_mq(maxmsg=1, msgsize=8), ipc.file_lock(), ipc.posix_sem()):
        before = len(os.listdir("/proc/self/fd"))
        other = pickle.loads(pickle.dumps(it))
        del other
        assert len(os.listdir("/proc/self/fd")) == before, it


def test_memory_of_a_dropped_handle_stays_mapped(ipc: Ipc):
    """Its address may be in use; the descriptor is closed."""
    before = len(os.listdir("/proc/self/fd"))
    other = pickle.loads(pickle.dumps(ipc.mapped_file()))
    address, size = other.address, other.size
    del other
    assert len(os.listdir("/proc/self/fd")) == before + 3  # those of the owner
    ctypes.memset(address, 1, size)
    munmap(address, size)


def test_an_owner_that_is_dropped_is_not_closed(ipc: Ipc):
    """Its scope closes it: the descriptor stays open for those who have only its number."""
    fd = ipc.posix_shm().fd
    os.fstat(fd)


REFUSED: dict[str, tuple[Callable[[Ipc], Any], str]] = {
    "child": (
        lambda ipc: ipc.fork(print),
        r"<child \d+ \(print\)> .*only its parent can wait for it; pass its pid, for ",
    ),
    "program": (
        lambda ipc: ipc.spawn(["true"]),
        r"<program \d+ \(true\)> .*only its parent can wait for it; pass its pid",
    ),
    "ipc": (lambda ipc: ipc, "an Ipc .*pass the resources, or use "),
    "method": (lambda ipc: ipc.sysv_shm, "an Ipc .*pass the resources, or use "),
    "scope": (lambda ipc: ipc.scope, "a Scope .*pass the resources"),
    "fork": (lambda ipc: ipc.fork, "fork .*its children belong to this one"),
    "sockets": (lambda ipc: ipc.sockets, "sockets .*pass the sockets"),
    "signals": (lambda ipc: ipc.signals, "<Signals> .*in this process and in children forked from it only"),
    "futex": (lambda ipc: ipc.futex(), "<Futex at .*in this process and in children forked from it only"),
    "unnamed semaphore": (lambda ipc: ipc.posix_sem(shared=True), "create it without shared=True"),
    "private mapping": (lambda ipc: ipc.mapped_file(shared=False), "changes of a MAP_PRIVATE mapping stay here"),
    "anonymous memory": (
        lambda ipc: ipc.scope.own(Mapping.of(None, 4096, prot=PROT_READ | PROT_WRITE, flags=MAP_SHARED)),
        "pass the object that it maps",
    ),
    "pipe": (lambda ipc: ipc.pipe(), "only as an argument of multiprocessing's Process"),
    "event counter": (lambda ipc: ipc.eventfd(), "only as an argument of multiprocessing's Process"),
    "socket": (lambda ipc: ipc.sockets.socket(socket.AF_UNIX), "only as an argument of multiprocessing's Process"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_passed_says_why(ipc: Ipc, kind):
    make, reason = REFUSED[kind]
    with pytest.raises(TypeError, match=reason) as caught:
        pickle.dumps(make(ipc))
    assert "another process" in str(caught.value)


def test_a_closed_object_cannot_be_passed(ipc: Ipc):
    segment = ipc.sysv_shm()
    segment.close()
    with pytest.raises(ValueError, match=r"<Segment .*> is closed"):
        pickle.dumps(segment)


def test_an_id_of_another_namespace_is_not_mistaken(ipc: Ipc):
    segment = ipc.sysv_shm()
    data = pickle.dumps(segment)
    assert pickle.loads(data).id == segment.id
    elsewhere = re.sub(rb"ipc:\[\d+\]", lambda found: b"ipc:[" + b"9" * (len(found[0]) - 6) + b"]", data)
    with pytest.raises(OSError, match="is in another namespace"):
        pickle.loads(elsewhere)


def test_a_child_returns_what_it_was_passed(ipc: Ipc):
    segment = ipc.sysv_shm()
    found = ipc.fork(lambda: segment).result()
    assert found is not segment
    assert found.id == segment.id


def test_a_removed_segment_that_is_attached_can_be_passed(ipc: Ipc):
    attachment = ipc.sysv_shm(key=IPC_PRIVATE).attach()
    data = pickle.dumps(attachment)
    shmctl(attachment.segment.id, IPC_RMID)
    other = pickle.loads(data)
    other.buf[0] = 9
    assert attachment.buf[0] == 9
    other.detach()


def test_observed_process_is_the_same_there(ipc: Ipc):
    program = ipc.spawn(["sleep", "100"])
    observed = pickle.loads(pickle.dumps(ipc.observe(program.pid)))
    assert observed.alive
    program.close()
    assert not observed.alive
    assert not pickle.loads(pickle.dumps(observed)).alive


def test_futex_is_refused_by_its_class():
    with Futex.create() as word, pytest.raises(TypeError, match="cannot be passed to another process"):
        pickle.dumps(word)
