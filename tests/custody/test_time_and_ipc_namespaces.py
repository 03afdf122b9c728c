"""Ledgers of time namespaces, whose processes have other start times, and of IPC namespaces whose number is reused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_ipc import scope, unused_key
from pytest_ipc.custody import namespaces
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.removal import Swept
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import shmget
from pytest_ipc.kernel.namespace import CLONE_NEWIPC, CLONE_NEWTIME, unshare
from pytest_ipc.processes.trial import trial

from .forging import about_queue, about_segment, forge, made, one_line

# Time namespaces.


LATER = "1000000"  # seconds by which its clocks are ahead


def in_time_namespace(*command: object) -> subprocess.Popen[str]:
    """Start a program in a time namespace of its own."""
    whole = ["unshare", "--time", "--boottime", LATER, "--fork", "--kill-child", *map(str, command)]
    return subprocess.Popen(whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


OWNER = """
import sys
from pytest_ipc import scope
with scope() as ipc:
    print(ipc.fifo().path, ipc.fork(sys.stdin.read).pid, flush=True)
    sys.stdin.read()
"""

SWEEP = """
from pytest_ipc.custody import state_paths
state_paths.SHARED = ()
from pytest_ipc.custody.sweep import sweep
done = sweep()
print(len(done.removed), done.left + done.refused, flush=True)
"""


@pytest.fixture
def _has_time_namespaces() -> None:
    if (refusal := trial(lambda: unshare(CLONE_NEWTIME))) is not None:
        pytest.skip(f"no time namespace can be made here: {refusal}")


@pytest.mark.usefixtures("_has_time_namespaces", "runtime")
def test_process_in_a_time_namespace_is_alive(runtime):
    """Its start time is another there than here."""
    with in_time_namespace(sys.executable, "-c", OWNER) as owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().split()[0])
        assert sweep() == Swept()
        assert path.exists()
        owner.communicate()
    assert owner.returncode == 0
    assert not path.parent.exists()
    assert os.listdir(runtime / "pytest-ipc") == []


@pytest.mark.usefixtures("_has_time_namespaces", "own")
def test_process_outside_a_time_namespace_is_alive():
    """Seen from within; and what has died is dead there, too."""
    with scope() as ipc:
        fifo = ipc.fifo()
        with in_time_namespace(sys.executable, "-c", SWEEP) as sweeper:
            assert sweeper.communicate()[0] == "0 []\n"
        assert fifo.path.exists()


@pytest.mark.usefixtures("_has_time_namespaces", "runtime")
def test_the_reaper_of_a_run_in_a_time_namespace_does_its_work():
    with in_time_namespace(sys.executable, "-c", OWNER) as owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().split()[0])
        owner.kill()
    deadline = time.monotonic() + 10
    while path.parent.exists():
        assert time.monotonic() < deadline, "the reaper has not removed it"
        os.sched_yield()


@pytest.mark.usefixtures("_has_time_namespaces")
def test_nested_time_namespace_creates_nothing(program):
    """Its start time is unknown there, which is an error before an object exists."""
    source = """
import os
from pytest_ipc import scope
from pytest_ipc.kernel import CLONE_NEWTIME, unshare
unshare(CLONE_NEWTIME)
pid = os.fork()
if pid == 0:
    status = 1
    try:
        unshare(CLONE_NEWTIME)
        with scope() as ipc:
            ipc.fifo()
    except OSError as error:
        status = 0 if "start times cannot be compared" in str(error) else 2
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    program(source)


# IPC namespaces whose number is in use again.


def without_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kernel before Linux 6.18: an IPC namespace has a number and no id."""
    real = namespaces.behind

    def behind(fd: int) -> str:
        name = real(fd)
        return name.partition("#")[0] if name.startswith("ipc:") else name

    monkeypatch.setattr(namespaces, "behind", behind)


@pytest.fixture
def stranger(fork):
    """Fork a child into its own IPC namespace. Return the namespace, and the ids and keys of its segment and queue."""
    if (refusal := trial(lambda: unshare(CLONE_NEWIPC))) is not None:
        pytest.skip(f"no IPC namespace can be made here: {refusal}")
    key = unused_key()

    def life():
        unshare(CLONE_NEWIPC)
        with scope() as ipc:
            print(shmget(key, 4096, 0o1600), ipc.sysv_msg(key=0).id, os.getpid(), flush=True)
            signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    segment, queue, pid = map(int, child.output.split())
    return child, f"/proc/{pid}/ns/ipc", key, segment, queue


def test_an_ipc_namespace_whose_number_is_in_use_again_is_another(state_dir, stranger):
    """Where namespaces have ids: what was in the one on record is gone with it."""
    child, link, key, segment, queue = stranger
    name = namespaces._identity(link)
    assert name is not None
    if "#" not in name:
        pytest.skip("this kernel gives namespaces no ids")
    recorded = name.replace("#", "#1")
    process = Process(child.pid, child._process.start)
    path = forge(
        state_dir,
        about_segment(1, key=key, ipc=recorded),
        made(1, id=segment),
        about_queue(2, key=0, ipc=recorded),
        made(2, id=queue),
        process=Process(process.pid, process.start + 1),  # the same process id even
    )
    assert sweep() == Swept()
    assert not path.exists()


def test_without_ids_only_exclusive_objects_are_removed(state_dir, stranger, monkeypatch):
    child, link, key, segment, queue = stranger
    without_ids(monkeypatch)
    name = os.readlink(link)
    process = Process(child.pid, child._process.start + 1)
    details = {"key": key, "ipc": name}
    path = forge(state_dir, about_segment(1, **details), made(1, id=segment), process=process)
    assert f"whether {name} is the namespace that it was made in" in one_line(sweep())
    path.unlink()
    path = forge(state_dir, about_queue(1, key=0, ipc=name), made(1, id=queue), process=process)
    assert f"whether {name} is the namespace that it was made in" in one_line(sweep())
    path.unlink()
    # The key was drawn at random, and all the rest fits as well.
    forge(state_dir, about_segment(1, **details, drawn=True), made(1, id=segment), process=process)
    assert len(sweep().removed) == 1


def test_identity_that_an_open_namespace_does_not_show_is_its_name(monkeypatch):
    """gVisor of 2024 gives "/" for the link of the descriptor; objects would be in no namespace that is seen again."""
    monkeypatch.setattr(namespaces, "behind", lambda _: "/")
    assert namespaces.ipc_identity() == namespaces.ipc_namespace() != ""
