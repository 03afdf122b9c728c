"""The state directory under changes by tests: of umask, user, parent directory and file system."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc import scope
from pytest_ipc.custody import ledger, state_paths
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.state_dir import StateDirError, open_state_dir, state_dir_path
from pytest_ipc.kernel import Deadline, process_state
from pytest_ipc.kernel.namespace import CLONE_NEWNS, unshare
from pytest_ipc.processes.trial import trial

NOBODY = 65534


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")


def anew() -> None:
    """In a child: as a process that has no ledger yet, and no reaper of its own to start."""
    ledger.close()
    state_paths._pinned = None
    ledger._guarded = Process.current()


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o777])
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_mode_does_not_depend_on_the_umask(open_folder, fork, monkeypatch, umask, user):
    """Nor is it made useless for all the runs to come."""
    if user == "nobody":
        needs_root()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(open_folder))

    def life():
        anew()
        if user == "nobody":
            os.setresuid(NOBODY, NOBODY, NOBODY)
        os.umask(umask)
        with scope() as ipc:
            ipc.sysv_shm()
            mode = stat.S_IMODE(os.stat(state_dir_path()).st_mode)
        anew()
        os.umask(0o022)
        with scope() as ipc:
            ipc.sysv_shm()
        return state_dir_path(), mode

    place, mode = fork(life).result()
    assert Path(place).parent == open_folder
    assert mode == 0o700


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500])
def test_one_that_its_owner_may_not_use_is_given_back(state_dir, mode):
    """As an earlier version created it under such an umask: it is closed to other users, so none planted it."""
    state_dir.chmod(mode)
    found = open_state_dir(create=True)
    assert found is not None
    os.close(found)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


PROGRAM = """
import os, shutil, signal, sys, time
import pytest_ipc
import pytest_ipc.custody.start_reaper, pytest_ipc.custody.sweep, pytest_ipc.resources.segment  # while they can be read
from pytest_ipc.custody import state_paths
state_paths.SHARED, state_paths.RUNTIME = (), ()
from pytest_ipc.custody import ledger
from pytest_ipc.custody.ledger import CLOCK_REALTIME_COARSE

def next_tick():
    now = time.clock_gettime(CLOCK_REALTIME_COARSE)
    while time.clock_gettime(CLOCK_REALTIME_COARSE) == now:
        pass

def told(*things):
    print(*things, flush=True)

with pytest_ipc.scope() as ipc:
    {body}
"""


class Run:
    """A program that makes objects; all of it is gone some time after it has ended."""

    def __init__(self, place: Path, body: str, *before: str) -> None:
        self.runtime, self.temp = place / "run", place / "tmp"
        for folder in (self.runtime, self.temp):
            folder.mkdir(mode=0o700)
        self.temp.chmod(0o1777)
        source = PROGRAM.format(body="\n    ".join(body.strip().splitlines()))
        environment = os.environ | {"XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.temp)}
        self.process = subprocess.Popen(
            [*before, sys.executable, "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.output, _ = self.process.communicate(timeout=60)

    def segments_left(self) -> list[str]:
        """Return the reported ids that still exist."""
        told = [line.split()[1] for line in self.output.splitlines() if line.startswith("segment ")]
        assert told
        rows = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
        return [id for id in told if id in rows]

    def is_cleared(self) -> bool:
        """Return whether no object and no ledger of it remains."""
        ledgers = [*self.runtime.glob("pytest-ipc/*"), *self.temp.glob("pytest-ipc*")]
        ledgers = [path for path in ledgers if path.suffix == ".ledger" or list(path.glob("*"))]
        return not self.segments_left() and not ledgers


SEGMENT = 'told("segment", ipc.sysv_shm().id)'
DIE = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize("end", ["", DIE], ids=["orderly", "killed"])
def test_an_effective_user_that_a_test_has_taken_on_does_not_move_it(open_folder, end):
    """Not even when the first object of all is made so; and the reaper can do its work."""
    needs_root()
    run = Run(
        open_folder,
        f"""
os.seteuid({NOBODY})
{SEGMENT}
told(os.geteuid(), state_paths.state_dir_path())
os.seteuid(0)
{SEGMENT}
os.seteuid({NOBODY})
ipc.fork(int).result()
{end}
os.seteuid(0)
""",
    )
    assert run.process.returncode == (-signal.SIGKILL if end else 0)
    assert f"{NOBODY} {run.runtime}/pytest-ipc" in run.output
    assert Deadline(10).until(run.is_cleared)


def test_ledgers_follow_a_permanent_change_of_user(open_folder, fork, monkeypatch):
    needs_root()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(open_folder))

    def life():
        anew()
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with scope() as ipc:
            ipc.sysv_shm()
        return state_dir_path()

    assert fork(life).result() == f"{open_folder}/pytest-ipc-of-{NOBODY}"


def test_object_of_another_user_is_not_created_under_their_name(state_dir, fork):
    """The directory has gone, and this process cannot make one that its own reaper would trust."""
    needs_root()

    def life():
        anew()
        ledger.current()
        ledger.close()
        state_dir.rmdir()
        os.setresuid(NOBODY, NOBODY, NOBODY)
        with scope() as ipc:
            try:
                ipc.sysv_shm()
            except StateDirError as error:
                return str(error)

    assert "this process has become user 65534 but the ledgers belong to user 0" in fork(life).result()
    state_dir.mkdir(mode=0o700)


GONE = {
    "the directory": "shutil.rmtree(os.environ['XDG_RUNTIME_DIR'] + '/pytest-ipc')",
    "the folder above": "shutil.rmtree(os.environ['XDG_RUNTIME_DIR'])",
    "both, and a folder of that name is back": "shutil.rmtree(os.environ['XDG_RUNTIME_DIR']); "
    "os.mkdir(os.environ['XDG_RUNTIME_DIR'], 0o700)",
}


@pytest.mark.parametrize("end", ["", DIE], ids=["orderly", "killed"])
@pytest.mark.parametrize("gone", GONE)
def test_state_directory_removed_during_the_run_loses_nothing(open_folder, gone, end):
    run = Run(
        open_folder,
        f"""
{SEGMENT}
child = ipc.fork(signal.pause)
child.wait_blocked("pause")
{GONE[gone]}
next_tick()
{SEGMENT}
told("fork", ipc.fork(int, 7).result())
def life():
    {SEGMENT}
    signal.pause()
ipc.fork(life).wait_blocked("pause")
{end}
""",
    )
    assert run.process.returncode == (-signal.SIGKILL if end else 0)
    assert "fork 7" in run.output
    assert Deadline(10).until(run.is_cleared)


@pytest.mark.parametrize("gone", GONE)
def test_state_directory_removed_before_the_end_loses_nothing(open_folder, gone):
    """The reaper holds the ledger itself."""
    run = Run(
        open_folder,
        f"""
{SEGMENT}
child = ipc.fork(signal.pause)
child.wait_blocked("pause")
{SEGMENT}
told("child", child.pid)
{GONE[gone]}
{DIE}
""",
    )
    assert Deadline(10).until(lambda: not run.segments_left())
    child = int(run.output.split("child ")[1])
    assert Deadline(10).until(lambda: (state := process_state(child)) is None or state.state == "Z")


LOG_OUT = """
import subprocess
subprocess.run(["umount", "--lazy", os.environ["XDG_RUNTIME_DIR"]], check=True)
os.rmdir(os.environ["XDG_RUNTIME_DIR"])
"""


def mounting(open_folder: Path) -> list[str]:
    """Return a command that runs another in a mount namespace of its own, where the runtime folder is a file system."""
    if (refusal := trial(lambda: unshare(CLONE_NEWNS))) is not None:
        pytest.skip(f"no mount namespace can be made here: {refusal}")
    script = f'mount -t tmpfs -o mode=700 none {open_folder}/run && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "-"]


@pytest.mark.parametrize("end", ["", DIE], ids=["orderly", "killed"])
def test_run_continues_after_logout_unmounts_the_state_directory(open_folder, end):
    run = Run(
        open_folder,
        f"""
{SEGMENT}
def life():
    {SEGMENT}
    signal.pause()
ipc.fork(life).wait_blocked("pause")
{LOG_OUT}
next_tick()
{SEGMENT}
{end}
""",
        *mounting(open_folder),
    )
    assert run.process.returncode == (-signal.SIGKILL if end else 0)
    assert Deadline(10).until(run.is_cleared)


def test_logout_before_the_end_loses_nothing(open_folder):
    """The child's ledger is found through the directory, which the reaper holds open."""
    run = Run(
        open_folder,
        f"""
{SEGMENT}
def life():
    {SEGMENT}
    signal.pause()
ipc.fork(life).wait_blocked("pause")
{LOG_OUT}
{DIE}
""",
        *mounting(open_folder),
    )
    assert Deadline(10).until(run.is_cleared)
