"""The reaper: nobody's child, deaf, holding nothing of its owner's, and gone by itself when there is nothing left to guard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ipc import Deadline, process_state, process_status
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.sweep import sweep_worker

from ..processes import Running
from .forging import about, forge
from .test_sweep import exists

OWNER = """
import os, signal, sys
from pytest_ipc import scope
{before}
with scope() as ipc:
    segment = ipc.sysv_shm()
    print(segment.id, flush=True)
    sys.stdin.read()
"""


def reapers(owner: int) -> list[int]:
    """The reapers of the process *owner*."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        # python -I -S -c SOURCE PID START CONTROLLER HOME
        if len(words) > 5 and b"custody.reaper" in words[4] and words[5] == str(owner).encode():
            found.append(int(entry.parent.name))
    return found


def has_ended(pid: int) -> bool:
    state = process_state(pid)
    return state is None or state.state == "Z"


class Owner:
    """A process that owns a segment, and its reaper."""

    def __init__(self, before: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(before=before)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.segment = int(self.process.stdout.readline())
        assert Deadline(30).until(lambda: any(map(is_deaf, reapers(self.process.pid))))
        (self.reaper,) = reapers(self.process.pid)

    def is_cleared(self) -> bool:
        return Deadline(10).until(lambda: not exists(self.segment) and has_ended(self.reaper))


def is_asleep(pid: int) -> bool:
    state = process_state(pid)
    return is_deaf(pid) and state is not None and state.state == "S"


def is_deaf(pid: int) -> bool:
    """Whether it ignores all that can be ignored, as the reaper does from its first line on."""
    ignored = int(process_status(pid).get("SigIgn", "0"), 16)
    return bool(ignored >> (signal.SIGTERM - 1) & 1)


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


def test_it_is_nobodys_child_and_in_a_session_of_its_own(owner):
    state = process_state(owner.reaper)
    assert state is not None
    assert state.ppid not in (owner.process.pid, os.getpid())
    assert os.getsid(owner.reaper) not in (os.getsid(owner.process.pid), os.getsid(0))
    assert os.getpgid(owner.reaper) != os.getpgid(owner.process.pid)


def test_it_holds_no_descriptor_but_its_own(owner):
    def held() -> list[str]:
        folder = f"/proc/{owner.reaper}/fd"
        return sorted(os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))

    assert Deadline(30).until(lambda: held() == ["/dev/null"] * 3 + ["anon_inode:[pidfd]"]), held()


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


@pytest.mark.parametrize(
    "before",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))",
        "os.chdir('/proc/self/fdinfo')",
    ],
)
def test_it_starts_whatever_its_owner_has_done_to_itself(runtime, before):
    owner = Owner(before)
    owner.process.kill()
    owner.process.communicate()
    assert owner.is_cleared()
    assert os.listdir(runtime / "pytest-ipc") == []


NO_SECOND_FORK = """
from pytest_ipc.unpatched import os
real, calls = os.fork, []
def fork():
    calls.append(0)
    if len(calls) == 2:
        raise BlockingIOError(11, "no more")
    return real()
os.fork = fork
"""


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("sys.executable = ''", "there is no Python to run the reaper with, so nothing is made"),
        (
            "sys.executable = '/no/python'",
            "there is no Python to run the reaper with, so nothing is made: '/no/python'",
        ),
        (
            NO_SECOND_FORK,
            "no process can be made to run the reaper, so nothing is made",
        ),
    ],
)
def test_where_it_cannot_be_started_nothing_is_made(runtime, before, sentence):
    before += "\nimport pytest_ipc.resources.segment as room; room.shmget = None"
    done = subprocess.run(
        [sys.executable, "-c", OWNER.format(before=before)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert sentence in done.stderr
    assert done.stdout == ""
    assert not (runtime / "pytest-ipc").exists() or os.listdir(runtime / "pytest-ipc") == []


WITHOUT = """
import sys
sys.path.insert(0, {root!r})
from pytest_ipc.unpatched import os
{change}
from pytest_ipc.custody.reaper import main
main()
"""
REFUSING = """
def pidfd_open(*arguments):
    raise OSError(38, "Function not implemented")
os.pidfd_open = pidfd_open
"""


@pytest.mark.parametrize("change", ["pass", REFUSING, "del os.pidfd_open"], ids=["with", "refused", "missing"])
@pytest.mark.parametrize("first", ["owner", "controller"])
def test_it_waits_with_pidfds_or_asks(home, change, first):
    """Run as a process that can be waited for; without pidfd_open it asks, and ends as surely."""
    sleeps = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    root = str(Path(__file__).parents[2])
    with Running(sleeps) as owner, Running(sleeps) as controller:
        state = process_state(owner.pid)
        assert state is not None
        path = forge(home, about(1, "fifo", path="/nowhere"), process=Process(owner.pid, state.starttime))
        arguments = [str(owner.pid), str(state.starttime), str(controller.pid), str(home)]
        source = WITHOUT.format(root=root, change=change)
        with Running([sys.executable, "-I", "-S", "-c", source, *arguments]) as reaper:
            assert Deadline(30).until(lambda: is_asleep(reaper.pid))
            assert path.exists()
            (owner if first == "owner" else controller).kill()
            # A worker whose controller has died is ended: it would report to nobody.
            assert owner.wait(10) == -signal.SIGKILL
            assert reaper.wait(10) == 0
        assert not path.exists()
        assert (controller.poll() is None) == (first == "owner")
        controller.kill()


def test_an_owner_that_died_before_it_was_watched_is_noticed(home):
    """Its process id may have passed to another process by then."""
    path = forge(home, about(1, "fifo", path="/nowhere"), process=Process(os.getpid(), 1))
    source = WITHOUT.format(root=str(Path(__file__).parents[2]), change="pass")
    command = [sys.executable, "-I", "-S", "-c", source, str(os.getpid()), "1", "0", str(home)]
    assert subprocess.run(command, timeout=30, check=False).returncode == 0
    assert not path.exists()


def test_a_program_that_a_worker_starts_is_no_worker(runtime, monkeypatch):
    """It has the worker's environment, and may outlive whoever started it."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    starter = """
import subprocess, sys
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=0, stdout=1)
print(owner.pid, flush=True)
sys.stdin.readline()
"""
    with Running(
        [sys.executable, "-c", starter, OWNER.format(before="")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        owner, segment = int(first.stdout.readline()), int(first.stdout.readline())
        assert Deadline(30).until(lambda: any(map(is_asleep, reapers(owner))))
        first.kill()
        first.wait()
        (reaper,) = reapers(owner)
        # It has had its chance: had it been waiting for the parent, it would be awake, or through.
        for _ in Deadline(0.3).rounds():
            assert not has_ended(owner)
            assert not has_ended(reaper)
            assert exists(segment)
    assert Deadline(30).until(lambda: has_ended(owner) and has_ended(reaper) and not exists(segment))
    assert os.listdir(runtime / "pytest-ipc") == []


WORKER = """
import os, signal

def test_waits(sysv_shm):
    segment = sysv_shm()
    with open("note.new", "w") as file:
        file.write(f"{os.getpid()} {segment.id}")
    os.rename("note.new", "note")
    while True:
        signal.pause()
"""


def test_a_worker_ends_with_its_controller(pytester, runtime):
    pytester.makepyfile(WORKER)
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider"]
    note, log = pytester.path / "note", pytester.path / "log"
    with open(log, "wb") as output, Running(command, stdout=output, stderr=output) as controller:
        assert Deadline(30).until(lambda: note.exists() or controller.poll() is not None)
        assert note.exists(), log.read_text()
        worker, segment = map(int, note.read_text().split())
        controller.kill()
    assert Deadline(30).until(lambda: has_ended(worker))
    assert Deadline(30).until(lambda: not exists(segment))
    assert Deadline(30).until(lambda: not [name for name in os.listdir(runtime / "pytest-ipc") if "ledger" in name])


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_run_without_objects_starts_none_and_makes_no_home(pytester, runtime, how):
    pytester.makepyfile(
        """
        import os, sys
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_plain(number, tmp_path):
            assert "pytest_ipc.custody.reaper" not in sys.modules

        def test_signals_and_pipes(signals, pipe):
            signals.ignore(10)
            pipe()
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", *how).assert_outcomes(passed=5)
    assert os.listdir(runtime) == []


OF_A_RUN = """
from pytest_ipc import custody
custody.controller = {controller}
os.environ["PYTEST_XDIST_WORKER"], os.environ["PYTEST_XDIST_TESTRUNUID"] = "gw0", "run"
"""


@pytest.mark.parametrize("comes", [True, False], ids=["the controller comes for it", "the controller dies too"])
def test_what_it_leaves_for_the_controller_does_not_outlive_both(runtime, comes):
    controller = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    worker = Owner(OF_A_RUN.format(controller=controller.pid))
    worker.process.kill()
    worker.process.communicate()
    home = runtime / "pytest-ipc"
    assert Deadline(30).until(lambda: [name for name in os.listdir(home) if name.endswith(".swept")] != [])
    assert not has_ended(worker.reaper)
    if comes:
        done = sweep_worker("run", "gw0")
        assert len(done.removed) == 1
        assert "System V segment" in done.removed[0]
        assert worker.is_cleared()
    controller.kill()
    controller.wait()
    assert worker.is_cleared()
    assert os.listdir(home) == []
