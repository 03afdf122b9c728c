"""The file of a ledger: one for each process, across fork(2), execve(2), lost files and other roots."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_ipc import Segment, scope
from pytest_ipc.custody import ledger
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.ledger import CLOCK_REALTIME_COARSE, Ledger
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.kernel import Deadline

from .forging import FIRST_BOOT, forge
from .parsed import parsed, text


@pytest.mark.usefixtures("runtime")
def test_two_threads_open_one_ledger(program):
    program(
        """
import os, threading
from pytest_ipc.custody import ledger, state_dir

start = threading.Barrier(8)
found = []

def first():
    start.wait()
    found.append(ledger.current())

threads = [threading.Thread(target=first) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(set(found)) == 1 and len(found) == 8, found
assert len(os.listdir(state_dir.state_dir_path())) == 1
"""
    )


def test_forked_child_has_its_own_ledger(own, fork):
    before = text(own)

    def life():
        with scope() as ipc:
            ipc.sysv_shm()
            mine = ledger.current()
            return mine.name, (Path(state_dir_path()) / mine.name).read_text().splitlines()

    child = fork(life)
    name, lines = child.result()
    process = Process.current()
    assert json.loads(lines[0].split(" ", 2)[2])["root"] == [process.pid, process.start]
    assert (name != own.name, "sysv-shm" in "".join(lines)) == (True, True)
    assert [line for line in text(own)[len(before) :] if "sysv-shm" in line] == []
    child.close()
    assert os.listdir(state_dir_path()) == [own.name]


def test_child_of_a_bare_fork_does_not_change_its_parents_ledger(own):
    with Segment.create() as segment:
        before = text(own)
        pid = os.fork()
        if pid == 0:
            try:
                record = segment._record
                assert record is not None
                record.made(id=0)
                record.closed()
                own.close()
                ledger.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert text(own) == before


def test_ledger_is_removed_with_its_process(runtime, program):
    program(
        """
import os
from pytest_ipc import scope
from pytest_ipc.custody.state_dir import state_dir_path
with scope() as ipc:
    ipc.sysv_shm()
    assert len(os.listdir(state_dir_path())) == 1
assert len(os.listdir(state_dir_path())) == 1  # until the end: the next object needs it
"""
    )
    assert os.listdir(runtime / "pytest-ipc") == []


def test_state_directory_is_chosen_once(runtime, program, tmp_path):
    """A test that sets $XDG_RUNTIME_DIR or TMPDIR for what it tests moves no ledger, and no child's."""
    other = tmp_path / "other"
    other.mkdir()
    program(
        """
import os, sys, tempfile
from pytest_ipc import scope
from pytest_ipc.custody.state_dir import state_dir_path
with scope() as ipc:
    ipc.sysv_shm()
    here = state_dir_path()
    for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
        os.environ[name] = sys.argv[1]
    tempfile.tempdir = None
    def life():
        ipc.sysv_shm()
        return state_dir_path(), len(os.listdir(here))
    child = ipc.fork(life)
    assert child.result() == (str(here), 2), child.result()
    child.close()
    assert len(os.listdir(here)) == 1
assert os.listdir(sys.argv[1]) == []
""",
        other,
    )
    assert os.listdir(runtime / "pytest-ipc") == []


def test_removed_state_directory_is_created_again(own):
    kept = own.intend("fifo", {"path": "/kept"})
    (Path(state_dir_path()) / own.name).unlink()
    Path(state_dir_path()).rmdir()
    now = time.clock_gettime(CLOCK_REALTIME_COARSE)
    assert Deadline(30).until(lambda: time.clock_gettime(CLOCK_REALTIME_COARSE) > now)  # the ledger looks once a tick
    own.intend("fifo", {"path": "/new"})
    assert [entry.details["path"] for entry in parsed(own).open] == ["/kept", "/new"]
    kept.closed()


def test_ledger_of_an_earlier_boot_with_this_pid_is_kept(state_dir):
    stale = forge(state_dir, process=Process.current(), boot=FIRST_BOOT)
    made = Ledger()
    assert made.name == f"{stale.stem}-1.ledger"
    assert parsed(made).process == Process.current()
    made.close()
    assert os.listdir(state_dir) == [stale.name]


def take_over(files: list[Path]) -> None:
    """Close every descriptor, as daemons do, and open *files* repeatedly under the numbers of the ledgers."""
    highest = max(map(int, os.listdir("/proc/self/fd")))
    os.closerange(3, highest + 1)
    for number in range(3, highest + 1):
        fd = os.open(files[number % len(files)], os.O_RDWR | os.O_APPEND)
        assert fd == number


@pytest.mark.parametrize("objects", [1, 3000], ids=["a record", "so many that a ledger is cut back"])
def test_a_child_that_closes_everything_finds_no_record_in_its_log(fork, tmp_path, objects):
    logs = [tmp_path / "one", tmp_path / "other"]
    for log in logs:
        log.write_bytes(b"precious\n" * 50_000)  # longer than a ledger that is cut back

    def service():
        take_over(logs)
        with scope() as ipc:
            for _ in range(objects):
                ipc.sysv_shm(key=0).close()
            ipc.sysv_shm(key=0)
            mine = ledger.current()
            return (Path(state_dir_path()) / mine.name).read_text().splitlines()[-1]

    assert fork(service).result(timeout=30).startswith("= ")
    assert [log.read_bytes() for log in logs] == [b"precious\n" * 50_000] * 2


def test_a_bare_grandchild_that_closes_everything_finds_no_record_in_its_log(own, tmp_path):
    """Not even the descriptor that it has inherited."""
    log = tmp_path / "log"
    log.write_bytes(b"")
    before = text(own)
    pid = os.fork()
    if pid == 0:
        try:
            take_over([log])
            with scope() as ipc:
                ipc.sysv_shm()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert log.read_bytes() == b""
    assert text(own) == before


def test_open_records_move_to_a_new_file_if_descriptor_and_file_are_lost(own):
    kept = own.intend("fifo", {"path": "/kept"})
    os.close(own._file._open.fd)
    (Path(state_dir_path()) / own.name).unlink()
    own.intend("fifo", {"path": "/new"})
    assert [entry.details["path"] for entry in parsed(own).open] == ["/kept", "/new"]
    kept.closed()
    assert [entry.details["path"] for entry in parsed(own).open] == ["/new"]


def test_in_another_root_directory_the_ledger_stays_where_it_is(own, fork, tmp_path):
    """It is not found there by its name, and must not be created again where no sweep would look for it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: chroot(2)")

    def life():
        with scope() as ipc:
            ipc.sysv_shm()
            mine = ledger.current()
            state_dir = os.open(state_dir_path(), os.O_PATH)
            os.chroot(tmp_path)
            now = time.clock_gettime(CLOCK_REALTIME_COARSE)
            assert Deadline(30).until(lambda: time.clock_gettime(CLOCK_REALTIME_COARSE) > now)
            ipc.sysv_shm()
            with open(os.open(mine.name, os.O_RDONLY, dir_fd=state_dir)) as file:
                lines = [line[:3] for line in file if line[0] == "+"]
            print(lines, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(life)
    child.wait()
    assert child.output == "['+ 1', '+ 2']\n"
    child.close()
    assert os.listdir(tmp_path) == ["runtime"]
    assert os.listdir(state_dir_path()) == [own.name]


@pytest.mark.usefixtures("own")
def test_mode_does_not_depend_on_the_umask(fork):
    def life():
        before = os.umask(0o777)
        ledger.close()
        mine = ledger.current()
        mine.intend("fifo", {"path": "/nowhere"})
        mine._rewrite()
        os.umask(before)
        return stat.S_IMODE(os.stat(Path(state_dir_path()) / mine.name).st_mode)

    assert fork(life).result() == 0o600


EXECS = """
import os, sys
from pytest_ipc import scope
from pytest_ipc.custody import ledger
with scope() as ipc:
    ipc.fifo(path=sys.argv[1] + sys.argv[2])
    if sys.argv[2] == "2":
        print(ledger.current().name, flush=True)
        os.kill(os.getpid(), 9)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[3], sys.argv[1], str(int(sys.argv[2]) + 1), sys.argv[3]])
"""


def test_a_process_that_has_become_another_program_has_one_more(runtime, tmp_path):
    """Its pid and start time are the same. What either has made goes when the process has ended."""
    command = [sys.executable, "-c", EXECS, str(tmp_path / "fifo"), "0", EXECS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline()
        process.wait(timeout=30)
    assert re.fullmatch(rf"{process.pid}-\d+-2\.ledger\n", name)
    assert Deadline(10).until(lambda: os.listdir(runtime / "pytest-ipc") == [])
    assert [path.name for path in tmp_path.iterdir()] == ["runtime"]


BEFORE_IT_WATCHES = """
import os, signal
from pytest_ipc import scope
from pytest_ipc.custody import ledger_file, start_reaper

if WITHOUT:
    ledger_file._UNNAMED = os.O_RDWR  # of a directory: as a file system that has no files without a name
start = start_reaper.start
def killed(*arguments):
    if not SURVIVES:
        os.kill(os.getpid(), signal.SIGKILL)
    start(*arguments)
start_reaper.start = killed
with scope() as ipc:
    ipc.fifo()
    print(len(os.listdir(os.environ["XDG_RUNTIME_DIR"] + "/pytest-ipc")))
"""


@pytest.mark.parametrize("without", [False, True], ids=["unnamed files", "none"])
def test_the_file_has_no_name_before_the_reaper_watches(runtime, without):
    """A run killed before that leaks nothing, as its leftovers would remain until the next run."""
    for survives, status, said in ((False, -signal.SIGKILL, ""), (True, 0, "1\n")):
        source = f"WITHOUT, SURVIVES = {without}, {survives}\n{BEFORE_IT_WATCHES}"
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (status, said), done.stderr
        assert Deadline(10).until(lambda: os.listdir(runtime / "pytest-ipc") == [])
