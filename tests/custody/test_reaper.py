"""The reaper: orphaned, ignores signals, holds none of its owner's descriptors, and ends after its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ipc.custody.identity import Process, start_of
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.kernel import Deadline, process_state, process_status

from ..subprocesses import Running
from .forging import about, forge
from .owner import Owner, is_asleep


@pytest.fixture
def owner(runtime) -> Iterator[Owner]:
    assert runtime.is_dir()
    started = Owner()
    yield started
    started.process.kill()
    started.process.wait()
    for stream in (started.process.stdin, started.process.stdout):
        assert stream is not None
        stream.close()
    assert started.is_cleared()


def test_reaper_is_detached_and_in_its_own_session(owner):
    state = process_state(owner.reaper)
    assert state is not None
    assert state.ppid not in (owner.process.pid, os.getpid())
    assert os.getsid(owner.reaper) not in (os.getsid(owner.process.pid), os.getsid(0))
    assert os.getpgid(owner.reaper) != os.getpgid(owner.process.pid)


def test_reaper_holds_only_its_own_descriptors(owner):
    folder = f"/proc/{owner.reaper}/fd"
    process = Process(owner.process.pid, start_of(owner.process.pid) or 0)
    ledger = os.stat(f"{state_dir_path()}/{process.pid}-{process.start}.ledger")

    def what(fd: str) -> str:
        try:
            is_ledger = os.path.samestat(os.stat(f"{folder}/{fd}"), ledger)
            return "its owner's ledger" if is_ledger else os.readlink(f"{folder}/{fd}")
        except FileNotFoundError:  # it looks at processes now and then
            return "closed"

    def held() -> list[str]:
        return sorted(map(what, os.listdir(folder)))

    own = [state_dir_path(), "its owner's ledger", "anon_inode:[pidfd]"]
    assert Deadline(30).until(lambda: held() == sorted(["/dev/null"] * 3 + own)), held()


def test_it_is_deaf_to_every_signal_that_can_be_ignored(owner):
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        os.kill(owner.reaper, signo)
    owner.process.kill()
    owner.process.wait()
    assert owner.is_cleared()


def test_it_blocks_none(owner):
    assert int(process_status(owner.reaper)["SigBlk"], 16) == 0
    ignored = {signo for signo in range(1, 65) if int(process_status(owner.reaper)["SigIgn"], 16) >> (signo - 1) & 1}
    assert ignored >= signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}


@pytest.mark.parametrize("end", ["by itself", "SIGKILL", "SIGTERM", "SIGSEGV"])
def test_it_ends_by_itself_after_its_owner(owner, runtime, end):
    if end == "by itself":
        owner.process.communicate()
    else:
        owner.process.send_signal(getattr(signal, end))
    owner.process.wait()
    assert owner.is_cleared()
    assert os.listdir(runtime / "pytest-ipc") == []


WITHOUT = """
import sys
sys.path.insert(0, {root!r})
from pytest_ipc.unpatched import os
{change}
from pytest_ipc.custody.reaper import Watch, be_deaf
be_deaf()
Watch().live()
"""

REFUSING = """
def pidfd_open(*arguments):
    raise OSError(38, "Function not implemented")
os.pidfd_open = pidfd_open
"""

HIDING = "import pytest_ipc.custody.identity as identity; identity.stat_of = lambda pid: None"  # as with hidepid

CHANGES = {"with": "pass", "refused": REFUSING, "missing": "del os.pidfd_open", "hidden": HIDING}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("first", ["owner", "controller"])
def test_it_waits_with_pidfds_or_asks(state_dir, change, first):
    """Run as a process that can be waited for; without pidfd_open it asks, and ends as surely."""
    sleeps = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    root = str(Path(__file__).parents[2])
    with Running(sleeps) as owner, Running(sleeps) as controller:
        state = process_state(owner.pid)
        assert state is not None
        path = forge(state_dir, about(1, "fifo", path="/nowhere"), process=Process(owner.pid, state.starttime))
        arguments = [str(owner.pid), str(state.starttime), str(controller.pid), str(state_dir)]
        source = WITHOUT.format(root=root, change=change)
        with Running([sys.executable, "-I", "-S", "-c", source, *arguments]) as reaper:
            assert Deadline(30).until(lambda: is_asleep(reaper.pid))
            assert path.exists()
            (owner if first == "owner" else controller).kill()
            # A worker whose controller has died is killed: its reports have no receiver.
            assert owner.wait(10) == -signal.SIGKILL
            assert reaper.wait(10) == 0
        assert not path.exists()
        assert (controller.poll() is None) == (first == "owner")
        controller.kill()


def test_an_owner_that_died_before_it_was_watched_is_noticed(state_dir):
    """Its process id may have passed to another process by then."""
    path = forge(state_dir, about(1, "fifo", path="/nowhere"), process=Process(os.getpid(), 1))
    source = WITHOUT.format(root=str(Path(__file__).parents[2]), change="pass")
    command = [sys.executable, "-I", "-S", "-c", source, str(os.getpid()), "1", "0", str(state_dir)]
    assert subprocess.run(command, timeout=30, check=False).returncode == 0
    assert not path.exists()
