"""The sweep removes each object of a dead process once; objects of live processes and unproven ones stay."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from pytest_ipc import scope, unused_key
from pytest_ipc.custody import parse
from pytest_ipc.custody import sweep as sweep_module
from pytest_ipc.custody.identity import Process, set_tag, start_of
from pytest_ipc.custody.kinds.file import look
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.custody.sweep import settle, sweep
from pytest_ipc.kernel import Deadline, process_state, shmctl_rmid, shmctl_stat, shmget

from ..subprocesses import Running
from .forging import FIRST_BOOT, about, about_segment, dead_process, forge, made


def exists(shmid: int) -> bool:
    try:
        shmctl_stat(shmid)
    except OSError:
        return False
    return True


@pytest.fixture
def left(state_dir, fork):
    """Yield the segment, FIFO paths and daemon of a dead process."""

    def life():
        reader, writer = os.pipe()
        with scope() as ipc:
            segment, private, placed = ipc.sysv_shm(), ipc.fifo(), ipc.fifo(path=state_dir.parent / "placed")
            nested = ipc.fork(int)
            nested.result()
            pid = os.fork()
            if pid == 0:
                set_tag(nested._tag)
                os.setsid()
                os.write(writer, b"x")
                while True:
                    signal.pause()
            os.read(reader, 1)
            print(segment.id, private.path, placed.path, pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(life)
    path = state_dir / f"{child.pid}-{start_of(child.pid)}.ledger"
    child.wait()
    segment, private, placed, daemon = child.output.split()
    assert path.exists()
    yield int(segment), [private, placed], int(daemon)
    child.close()
    assert not path.exists()


def test_leftovers_of_a_dead_process_are_removed(state_dir, left):
    segment, paths, daemon = left
    done = sweep()
    assert not exists(segment)
    assert not any(map(os.path.lexists, [*paths, os.path.dirname(paths[0])]))
    state = process_state(daemon)
    assert state is None or Deadline(5).until(lambda: (process_state(daemon) or state).state == "Z")
    assert sorted(line[:6] for line in done.removed) == ["FIFO /", "FIFO /", "System", "child "]
    assert (done.left, done.refused, [name for name in os.listdir(state_dir) if "ledger" in name]) == (
        [],
        [],
        own_only(),
    )


def own_only() -> list[str]:
    """Return the ledger of this process in the test's state directory, if any."""
    process = Process.current()
    name = f"{process.pid}-{process.start}.ledger"
    return [name] if os.path.exists(os.path.join(state_dir_path(), name)) else []


def test_dry_run_reports_the_same_and_removes_nothing(state_dir, left):
    segment, paths, daemon = left
    files = sorted(os.listdir(state_dir))
    planned = sweep(dry_run=True)
    state = process_state(daemon)
    assert (exists(segment), all(map(os.path.lexists, paths)), sorted(os.listdir(state_dir))) == (True, True, files)
    assert state is not None
    assert state.state != "Z"
    assert sorted(planned.removed) == sorted(sweep().removed)


def test_each_line_names_object_creator_and_place(state_dir):
    key = unused_key()
    with scope() as ipc:
        segment = ipc.sysv_shm(key=key)
        forge(state_dir, '@ "test_it.py::test_one"', about_segment(key=key), process=None)
        (line,) = sweep().left
        assert line.startswith(f"System V segment (key {key:#x}, 4096 bytes), made by test_it.py::test_one in process ")
        assert f": its creating process is {os.getpid()}, not " in line
        assert segment.exists()


def test_ledger_of_a_live_owner_is_kept(state_dir, fork):
    reader, writer = os.pipe()

    def life():
        with scope() as ipc:
            while os.path.exists(state_dir.parent / "go on"):
                segment, fifo = ipc.sysv_shm(key=0), ipc.fifo()
                assert segment.exists()
                assert fifo.path.exists()
                segment.remove()
                fifo.close()
                os.write(writer, b"x")

    (state_dir.parent / "go on").touch()
    child = fork(life)
    seen = 0
    try:
        while seen < 200:
            done = sweep()
            assert (done.removed, done.left, done.refused) == ([], [], [])
            seen += len(os.read(reader, 1000))
    finally:
        (state_dir.parent / "go on").unlink()
        os.set_blocking(reader, False)
    assert child.result() is None
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("beginning", ["", "pytest-ipc", 'pytest-ipc 1 {"pid": 1'])
@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
def test_incomplete_first_line_is_accepted(state_dir, beginning, alive):
    process = Process.current() if alive else dead_process()
    path = state_dir / f"{process.pid}-{process.start}.ledger"
    path.write_text(beginning)
    path.chmod(0o600)
    done = sweep()
    assert (done.removed, done.left, done.refused, path.exists()) == ([], [], [], alive)


def test_unfinished_replacement_is_removed_with_its_ledger(state_dir):
    path = forge(state_dir)
    (state_dir / f".{path.name}").write_text("half")
    sweep()
    assert os.listdir(state_dir) == []


def test_records_written_before_the_writers_death_are_read(state_dir, monkeypatch):
    """Its writer was dying: what is read before it is known to be dead may not be all that it has written."""
    key = unused_key()
    process = dead_process()
    path = forge(state_dir, process=process)
    segment = shmget(key, 4096, 0o1600)
    looks: list[parse.ParsedLedger] = []

    def alive(parsed: parse.ParsedLedger) -> bool:
        if not looks:
            looks.append(parsed)
            # # Another process created it, so it must be left and named, which shows that the record was read.
            forge(state_dir, about_segment(key=key), process=process)
        return False

    monkeypatch.setattr(parse.ParsedLedger, "alive", property(alive))
    done = sweep()
    shmctl_rmid(segment)
    assert len(done.left) == 1
    assert path.exists()


SWEEPER = """
import os, sys
from pytest_ipc.custody import state_paths
state_paths.SHARED = ()
from pytest_ipc.custody.sweep import sweep
sys.stdin.read(1)
done = sweep()
print(len(done.removed), len(done.left), len(done.refused))
"""


def test_two_sweeps_at_once_share_the_work(state_dir):
    """Each object is reported by one of them, and both finish."""
    directories = []
    for number in range(40):
        directory = state_dir.parent / f"pytest-ipc-{number:016x}"
        directory.mkdir()
        directories.append(directory)
        os.mkfifo(directory / "fifo")
        forge(state_dir, about(1, "fifo", path=str(directory / "fifo"), directory=str(directory)))
    command = [sys.executable, "-c", SWEEPER]
    sweepers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for sweeper in sweepers:
        assert sweeper.stdin is not None
        sweeper.stdin.close()
    counts = []
    for sweeper in sweepers:
        assert sweeper.stdout is not None
        counts.append(list(map(int, sweeper.stdout.read().split())))
        assert sweeper.wait(30) == 0
        sweeper.stdout.close()
    assert [sum(column) for column in zip(*counts, strict=True)] == [40, 0, 0]
    assert not any(directory.exists() for directory in directories)
    assert [name for name in os.listdir(state_dir) if name.endswith("ledger")] == own_only()


def test_hanging_sweep_delays_others_only_briefly(state_dir, monkeypatch):
    """One patience for all that it holds."""
    monkeypatch.setattr(sweep_module, "PATIENCE", 0.2)
    held = []
    for _ in range(20):
        fd = os.open(forge(state_dir, about(1, "fifo", path="/nowhere")), os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        held.append(fd)
    waits = []
    real = Deadline.until

    def until(self, *rest):
        waits.append(self)
        return real(self, *rest)

    monkeypatch.setattr(Deadline, "until", until)
    done = sweep()
    assert len(waits) == 20
    assert len(set(map(id, waits))) == 1
    assert all("another sweep holds it" in line for line in done.left)
    assert len(done.left) == 20
    for fd in held:
        os.close(fd)
    assert sweep().left == []


def test_a_lock_that_always_fails_with_eintr_is_not_waited_for_without_end(state_dir, monkeypatch):
    def interrupted(*_: int) -> None:
        raise InterruptedError

    monkeypatch.setattr(sweep_module, "PATIENCE", 0.1)
    monkeypatch.setattr("pytest_ipc.kernel.locks.flock", interrupted)
    monkeypatch.setattr("fcntl.flock", interrupted)
    ledger = forge(state_dir, about(1, "fifo", path="/nowhere"))
    assert any("another sweep holds it" in line for line in sweep().left)
    assert ledger.exists()


def test_settle_of_one_process_keeps_other_ledgers(state_dir):
    process = dead_process()
    one, other = forge(state_dir, process=process), forge(state_dir)
    settle(process)
    assert (one.exists(), other.exists()) == (False, True)
    sweep()


def test_after_a_restart_of_the_machine_only_files_are_looked_for(state_dir):
    directory = state_dir.parent / f"pytest-ipc-{7:016x}"
    directory.mkdir()
    os.mkfifo(directory / "fifo")
    found = look(str(directory / "fifo"))
    assert found is not None
    with scope() as ipc:
        segment = ipc.sysv_shm()
        forge(
            state_dir,
            about_segment(1, key=segment.key, at=1.0),
            made(1, id=segment.id),
            about(2, "fifo", path=str(directory / "fifo"), directory=str(directory)),
            made(2, **{**found.identity(), "dev": found.status.st_dev + 1}),  # devices are numbered anew
            process=Process.current(),  # a number that is in use again
            boot=FIRST_BOOT,
        )
        done = sweep()
        assert segment.exists()
    assert (len(done.removed), done.left, done.refused) == (1, [], [])
    assert not directory.exists()


WITHOUT_PROC = """
import os, sys
from pytest_ipc.kernel import CLONE_NEWNS, CLONE_NEWUSER, MS_PRIVATE, MS_REC, mount, unshare
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel.libc import function
from ctypes import c_char_p, c_int

umount2 = function("umount2", c_int, c_char_p, c_int)
try:
    unshare(CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    while os.path.exists("/proc/self"):  # one may be mounted on another
        umount2(b"/proc", 2)
except OSError as error:
    sys.exit(f"refused: {error}")
print(sweep())
"""


LIVES = """
import sys, pytest_ipc
with pytest_ipc.scope() as ipc:
    print(ipc.sysv_shm().id, flush=True)
    sys.stdin.readline()
"""


def test_sweep_without_proc_presumes_no_process_dead(state_dir):
    pipe = subprocess.PIPE
    with Running([sys.executable, "-c", LIVES], stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None
        shmid = int(owner.stdout.readline())
        before = sorted(os.listdir(state_dir))
        assert [name for name in before if name.startswith(f"{owner.pid}-")]
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_PROC], capture_output=True, text=True, timeout=60, check=False
        )
        after, there = sorted(os.listdir(state_dir)), exists(shmid)
        owner.communicate("\n")
    if done.stderr.startswith("refused"):
        pytest.skip(f"needs a mount namespace: {done.stderr}")
    assert (done.stderr, after, there) == ("", before, True)
