"""The processes killed after the death of a child's parent: all proven descendants, and no others."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from pytest_ipc import unpatched
from pytest_ipc.custody import descendants, search
from pytest_ipc.custody.descendants import is_zombie, mark_of, mark_self, row_of
from pytest_ipc.custody.identity import RLIMIT_LOCKS, Process, new_tag, start_of, tag_of
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import Deadline, process_state, process_status

from ..leaks import children
from ..subprocesses import Running
from .forging import about, forge, made, one_line
from .owner import reapers
from .test_identity import has_no_first_thread

SLEEP = "import signal; print(flush=True); signal.pause()"
NOBODY = 65534


class Sleeper(Running[str]):
    """A process that nothing of this module's knows, with a tag if one is given; it has begun."""

    def __init__(self, tag: int | None = None, source: str = SLEEP, **named: object) -> None:
        if tag is not None:
            hard = f"resource.getrlimit({RLIMIT_LOCKS})[1]"
            source = f"import resource; resource.setrlimit({RLIMIT_LOCKS}, ({tag}, {hard}))\n{source}"
        command = [sys.executable, "-I", "-S", "-c", source]
        super().__init__(command, stdout=subprocess.PIPE, text=True, **named)  # type: ignore[call-overload]  # any of Popen
        assert self.stdout is not None
        self.line = self.stdout.readline()
        assert self.line, "it has not begun"

    @property
    def identity(self) -> dict[str, int]:
        return {"pid": self.pid, "start": start_of(self.pid) or 0}


@pytest.fixture
def sleeper() -> Iterator[Callable[..., Sleeper]]:
    """Start a Sleeper, which is killed at the end of the test if it lives by then."""
    started = []

    def start(*arguments: object, **named: object) -> Sleeper:
        started.append(Sleeper(*arguments, **named))  # type: ignore[arg-type]  # passed on
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def forge_child(state_dir: Path, tag: int, *lines: str, **details: object) -> None:
    """A ledger of this test's process, which has died long ago, with a record of one child."""
    owner = Process(os.getpid(), (start_of(os.getpid()) or 0) - 1)
    forge(state_dir, about(1, "process", tag=tag, **details), *lines, process=owner)


def test_a_process_with_the_tag_is_ended(state_dir, sleeper):
    tag = new_tag()
    process = sleeper(tag)
    forge_child(state_dir, tag)
    done = sweep()
    assert (len(done.removed), done.left, process.wait(timeout=10)) == (1, [], -signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: this one is not root")
def test_tagged_process_of_another_user_is_kept_and_named(state_dir, sleeper):
    """Any user can put the tag of any child on a process of theirs: it proves nothing."""
    tag = new_tag()
    process = sleeper(tag, f"import os, signal; os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n{SLEEP}")
    forge_child(state_dir, tag)
    before = time.monotonic()
    line = one_line(sweep())
    assert line.endswith(f"process {process.pid} of user {NOBODY} has its tag, but is not proven to descend from it")
    assert time.monotonic() - before < search.PATIENCE, "nothing was waited for"
    assert process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: this one is not root")
def test_a_child_that_has_become_another_user_is_known_by_its_ledger(state_dir, sleeper):
    """Its parent was killed before its process id was on record. Only this user can create a ledger here."""
    tag = new_tag()
    process = sleeper(tag, f"import os, signal; os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n{SLEEP}")
    forge(state_dir, process=Process(**process.identity))
    forge_child(state_dir, tag)
    done = sweep()
    assert (len(done.removed), done.left, process.wait(timeout=10)) == (1, [], -signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: this one is not root")
def test_tagged_setuid_program_is_kept(state_dir, sleeper):
    """Its effective user is this one, its real user is not."""
    tag = new_tag()
    process = sleeper(tag, f"import os; os.setresuid({NOBODY}, 0, 0)\n{SLEEP}")
    forge_child(state_dir, tag)
    assert "of user 0, 65534 has its tag" in one_line(sweep())
    assert process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: this one is not root")
def test_a_descendant_of_another_user_without_a_tag_is_ended_by_its_parents(state_dir, sleeper):
    source = f"""
import os, signal
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    signal.pause()
signal.pause()
"""
    process = sleeper(None, source)
    below = int(process.line)
    forge_child(state_dir, new_tag(), made(**process.identity))
    done = sweep()
    assert (len(done.removed), done.left, process.wait(timeout=10)) == (1, [], -signal.SIGKILL)
    assert Deadline(10).until(lambda: is_zombie(below))


GROUP = """
import os, signal
if os.fork() == 0:
    os.setpgid(0, 0)
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        signal.pause()
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("same_session", [True, False])
def test_a_process_of_the_childs_group_and_session_that_has_its_mark_is_ended(state_dir, sleeper, marked, same_session):
    """The last process of a child's process group: its parent is init, its tag is lost."""
    process = sleeper(None, GROUP, preexec_fn=mark_self if marked else None, start_new_session=True)
    left = int(process.line)
    process.wait(timeout=10)
    row = row_of(left)
    assert row is not None
    assert (row.pgrp != left, row.session, mark_of(left) != mark_of("self")) == (True, process.pid, marked)
    forge_child(
        state_dir, new_tag(), made(pid=row.pgrp, start=row.start), session=row.session if same_session else os.getsid(0)
    )
    done = sweep()
    try:
        assert (len(done.removed), done.left) == (int(marked and same_session), [])
        assert is_zombie(left) == (marked and same_session)
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_process_that_may_not_be_signalled_is_named_and_not_waited_for(state_dir, sleeper, monkeypatch):
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    tag = new_tag()
    process = sleeper(tag)
    forge_child(state_dir, tag)
    monkeypatch.setattr(unpatched.signal, "pidfd_send_signal", refuse)
    monkeypatch.setattr(search, "PATIENCE", 1000)
    assert one_line(sweep()).endswith(f"process {process.pid} cannot be killed: Operation not permitted")
    assert process.poll() is None


def test_all_records_are_served_by_the_same_passes_over_all_processes(state_dir, sleeper, monkeypatch):
    tags = [new_tag() for _ in range(60)]
    processes = [sleeper(tag) for tag in tags[:3]]
    forge(
        state_dir,
        *(about(number, "process", tag=tag) for number, tag in enumerate(tags, 1)),
        process=Process(os.getpid(), 1),
    )
    passes: list[None] = []

    def counted(missed: Callable[[], None], known: AbstractSet[int]) -> Iterator[descendants.Row]:
        passes.append(None)
        return descendants.processes(missed, known)

    monkeypatch.setattr(search, "_processes", counted)
    assert len(sweep().removed) == 3
    assert len(passes) < 20 + search.MOST_POOR_LOOKS  # with a pass for each record and look it would be 60 and more
    assert [process.wait(timeout=10) for process in processes] == [-signal.SIGKILL] * 3


HOPS = """
import os, signal, sys, time
from pytest_ipc import scope
from pytest_ipc.custody.identity import tag_of

def life():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 1000)
            while True:
                if os.fork():
                    os._exit(0)
                time.sleep(float(sys.argv[1]))
    print(tag_of("self"), flush=True)
    signal.pause()

with scope() as ipc:
    child = ipc.fork(life)
    child.wait_blocked("pause")
    print(child.output, flush=True)
    signal.pause()
"""


def wearers(tag: int) -> list[int]:
    """Return the processes that have *tag*, and live."""
    return [row.pid for row in descendants.processes() if not row.has_ended and tag_of(row.pid) == tag]


@pytest.mark.parametrize("by", ["sweep", "reaper"])
@pytest.mark.parametrize("pause", ["0.001", "0.005"])
def test_daemons_that_fork_all_the_time_are_caught(runtime, pause, by):
    """One look over all processes misses them: where one was it has ended, where it is it was not yet."""
    with Running([sys.executable, "-c", HOPS, pause], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        tag = int(owner.stdout.readline())
        (reaper,) = reapers(owner.pid)
        if by == "sweep":
            os.kill(reaper, signal.SIGKILL)
        owner.kill()
        owner.wait()
    if by == "sweep":
        done = sweep()
        assert (len(done.removed), done.left) == (1, [])
    else:
        assert Deadline(30).until(lambda: is_zombie(reaper))
    assert [pid for _ in range(20) for pid in wearers(tag)] == []
    assert os.listdir(runtime / "pytest-ipc") == []


def test_the_reaper_of_another_run_is_waited_for_and_then_ended(state_dir, monkeypatch):
    tag = new_tag()
    reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", f"{SLEEP} # from pytest_ipc.custody.reaper import main"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(RLIMIT_LOCKS, (tag, resource.getrlimit(RLIMIT_LOCKS)[1])),
    )
    assert reaper.stdout is not None
    reaper.stdout.readline()
    forge_child(state_dir, tag)
    monkeypatch.setattr(search, "PATIENCE", 0)
    monkeypatch.setattr(search, "PATIENCE_WITH_REAPERS", 0.3)
    sweep()
    assert reaper.wait(10) == -signal.SIGKILL
    reaper.stdout.close()


OWNER = """
import os, resource, signal
from pytest_ipc import scope

def daemonise():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            resource.setrlimit(10, (resource.getrlimit(10)[1],) * 2)
            os.closerange(0, 1000)
            while True:
                signal.pause()
        os._exit(0)
    os.wait()

with scope() as ipc:
    ipc.fork(daemonise).result()
    (daemon,) = [word for word in open(f"/proc/self/task/{os.getpid()}/children").read().split() if is_no_zombie(word)]
    print(daemon, flush=True)
    signal.pause()
""".replace("if is_no_zombie(word)", "if open(f'/proc/{word}/stat').read().rpartition(')')[2].split()[0] != 'Z'")


def test_descendant_seen_by_the_reaper_is_ended(runtime):
    """A daemon without tag whose parent is init is proven only by having been seen below pytest."""
    assert runtime.is_dir()
    with Running([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        daemon = int(owner.stdout.readline())
        (reaper,) = reapers(owner.pid)

        def looks() -> int:
            return int(process_status(reaper)["voluntary_ctxt_switches"])

        first = looks()
        assert Deadline(30).until(lambda: looks() >= first + 2)
        owner.kill()
        owner.wait()
    assert Deadline(10).until(lambda: is_zombie(daemon))
    assert Deadline(10).until(lambda: process_state(reaper) is None or is_zombie(reaper))
    assert children() == {}


def test_marks_of_generations_differ(fork):
    def life() -> tuple[int, int]:
        before = mark_of("self")
        mark_self()
        return before, mark_of("self")

    own = mark_of("self")
    first, second = fork(life).result()
    assert len({own, first, second}) == 3


def test_a_process_whose_first_thread_has_ended_is_ended(state_dir, sleeper):
    """The kernel shows it as a zombie while its other threads run on."""
    tag = new_tag()
    source = (
        "import ctypes, os, signal, threading\nprint(flush=True)\n"
        "threading.Thread(target=signal.pause).start()\nctypes.CDLL(None).pthread_exit(None)"
    )
    process = sleeper(tag, source)
    assert Deadline(30).until(lambda: has_no_first_thread(process.pid))
    forge_child(state_dir, tag, made(**process.identity))
    assert len(sweep().removed) == 1
    assert process.wait(timeout=30) == -signal.SIGKILL
