"""The reaper: orphaned, ignores signals, holds none of its owner's descriptors, and ends after its owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc.custody.identity import Process, start_of
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.custody.sweep import sweep_worker
from pytest_ipc.kernel import Deadline, process_state, process_status

from ..subprocesses import Running
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
    """Return the reapers of the process *owner*."""
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
    """Return whether it ignores all that can be ignored, as the reaper does from its first line on."""
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


# What a test may set for itself before its first object; a Python needs more, or has to do something that is refused.
LOW = [
    "NOFILE, (16, 16)",
    "AS, (int(open('/proc/self/statm').read().split()[0]) * 4096 + (8 << 20), resource.RLIM_INFINITY)",
    "DATA, (int(open('/proc/self/statm').read().split()[5]) * 4096 + (4 << 20), resource.RLIM_INFINITY)",
    "STACK, (64 << 10, resource.RLIM_INFINITY)",
    "CPU, (int(__import__('time').process_time()) + 2, 100)",
]
# As fork(2) does for a process without privileges; root has no limit of processes.
NO_PROCESSES = """
from pytest_ipc.unpatched import os as calls
real, (soft, hard) = calls.fork, resource.getrlimit(resource.RLIMIT_NPROC)
def fork():
    if resource.getrlimit(resource.RLIMIT_NPROC)[0] < hard:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real()
calls.fork = fork
resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
"""


@pytest.mark.parametrize(
    "before",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        f"import resource\n{NO_PROCESSES}",
        *(f"import resource; resource.setrlimit(resource.RLIMIT_{limit})" for limit in LOW),
        "os.chdir('/proc/self/fdinfo')",
    ],
)
def test_it_starts_whatever_its_owner_has_done_to_itself(runtime, before):
    owner = Owner(before)
    owner.process.kill()
    owner.process.communicate()
    assert owner.is_cleared()
    assert os.listdir(runtime / "pytest-ipc") == []


NO_FORK = """
from pytest_ipc.unpatched import os
def fork():
    raise BlockingIOError(11, "Resource temporarily unavailable")
os.fork = fork
"""
PROGRAM = """
import sys
from pytest_ipc.custody import start_reaper
start_reaper.PATIENCE = {patience}
with open({path!r}, "w") as file:
    file.write({script!r})
os.chmod({path!r}, 0o755)
sys.executable = {path!r}
"""
NO_IMPORT = """
from pytest_ipc.custody import start_reaper
real = start_reaper.os.path.abspath
def moved(path):
    return "/nowhere/a/b/start_reaper.py" if path.endswith("start_reaper.py") else real(path)
start_reaper.os.path.abspath = moved
"""


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("sys.executable = ''", "there is no Python interpreter to run the reaper, so no object is created"),
        (
            "sys.executable = '/no/python'",
            "there is no Python interpreter to run the reaper, so no object is created: '/no/python'",
        ),
        (NO_FORK, "no process can be forked for it: Resource temporarily unavailable"),
        (NO_IMPORT, "it exited with status 1 and wrote \"ModuleNotFoundError: No module named 'pytest_ipc'\""),
        (("#!/bin/sh\necho first; echo boom >&2; exit 3\n", 30), "it exited with status 3 and wrote 'boom'"),
        (("#!/bin/sh\nkill -9 $$\n", 30), "it was killed by signal 9"),
        (("#!/bin/sh\nexit 0\n", 30), "no object is created: it ended"),
        (("#!/bin/sh\nexec sleep 1000\n", 0.3), "it was not ready within 0.3 seconds"),
        (("#!/no/interpreter\n", 30), 'it exited with status 1 and wrote "FileNotFoundError'),
    ],
)
def test_failed_start_of_the_reaper_is_reported_before_creation(runtime, tmp_path, before, sentence):
    if isinstance(before, tuple):
        script, patience = before
        before = PROGRAM.format(path=str(tmp_path / "python"), script=script, patience=patience)
    before += "\nimport pytest_ipc.resources.segment as module; module.shmget = None"
    done = subprocess.run(
        [sys.executable, "-c", OWNER.format(before=before)], capture_output=True, text=True, timeout=60, check=False
    )
    assert sentence in done.stderr
    assert done.stdout == ""
    assert not (runtime / "pytest-ipc").exists() or os.listdir(runtime / "pytest-ipc") == []


WITHOUT_PRIVILEGE = """
import resource
from dataclasses import replace
from pytest_ipc.kernel.capability import capget, capset
from pytest_ipc import limits, scope
import pytest_ipc.resources.segment, pytest_ipc.custody.start_reaper
capset(replace(capget(), effective=capget().effective & ~(1 << 24), permitted=capget().permitted & ~(1 << 24)))
room = bytearray(1 << 20)
resource.setrlimit(resource.RLIMIT_AS, (8 << 20, 8 << 20))
del room
"""


@pytest.mark.usefixtures("runtime")
def test_a_limit_that_it_cannot_live_under_is_named():
    """Without CAP_SYS_RESOURCE a hard limit that the test has set cannot be raised again."""
    done = subprocess.run(
        [sys.executable, "-c", OWNER.format(before=WITHOUT_PRIVILEGE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "the reaper cannot start, so no object is created: it exited with status" in done.stderr
    assert "(RLIMIT_AS is 8388608)" in done.stderr
    assert done.stdout == ""


WATCHES = """
from pathlib import Path
import pytest_ipc.resources.segment as module
real = module.shmget
def shmget(*arguments):
    me, found = os.getpid(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(bytes(1))
            if len(words) > 5 and b"custody.reaper" in words[4] and words[5] == str(me).encode():
                watched = [(entry / "fdinfo" / fd.name).read_text() for fd in (entry / "fd").iterdir()]
                found.append(any(f"Pid:\\t{me}\\n" in about for about in watched))
        except OSError:
            continue
    assert found == [True], found
    return real(*arguments)
module.shmget = shmget
"""


@pytest.mark.usefixtures("runtime")
def test_it_watches_before_the_first_object_exists():
    owner = Owner(WATCHES)
    owner.process.communicate()
    assert owner.process.returncode == 0
    assert owner.is_cleared()


SHADOWING = """
import sys
sys.path.append(sys.argv[1])
import os, signal
from pytest_ipc import scope
with scope() as ipc:
    print(ipc.sysv_shm().id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("runtime")
def test_modules_beside_the_package_do_not_shadow_the_stdlib(tmp_path):
    """As PyPI's pathlib, typing, enum34 and dataclasses do in a site-packages that comes first."""
    site = tmp_path / "site-packages"
    shutil.copytree(Path(pytest_ipc.__file__).parent, site / "pytest_ipc")
    for name in ("pathlib", "typing", "enum", "dataclasses", "contextlib", "re", "json", "signal"):
        (site / f"{name}.py").write_text("raise ImportError('it is not the stdlib that is imported')\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SHADOWING, str(site)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Deadline(30).until(lambda: not exists(int(done.stdout)))


HIGH = """
import resource
reader, writer = os.pipe()
os.dup2(writer, 500)
os.close(writer)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


@pytest.mark.usefixtures("runtime")
def test_it_closes_descriptors_above_a_lowered_limit_too():
    source = OWNER.format(before=HIGH).replace(
        "sys.stdin.read()", "os.close(500); print(os.read(reader, 1), flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[1] == "b''"


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


def test_program_started_by_a_worker_is_not_a_worker(runtime, monkeypatch):
    """It has the worker's environment, and may outlive the process that started it."""
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
def test_run_without_objects_has_no_reaper_and_no_state_directory(pytester, runtime, how):
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
def test_result_file_for_the_controller_is_removed(runtime, comes):
    controller = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    worker = Owner(OF_A_RUN.format(controller=controller.pid))
    worker.process.kill()
    worker.process.communicate()
    state_dir = runtime / "pytest-ipc"
    assert Deadline(30).until(lambda: [name for name in os.listdir(state_dir) if name.endswith(".swept")] != [])
    assert not has_ended(worker.reaper)
    if comes:
        done = sweep_worker("run", "gw0")
        assert len(done.removed) == 1
        assert "System V segment" in done.removed[0]
        assert worker.is_cleared()
    controller.kill()
    controller.wait()
    assert worker.is_cleared()
    assert os.listdir(state_dir) == []
