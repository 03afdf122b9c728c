"""The state directory: private to its user, and no object is created if it cannot be written to."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_ipc import scope, unpatched
from pytest_ipc.custody import ledger, state_paths
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.state_dir import StateDirError, open_state_dir, state_dir_path
from pytest_ipc.kernel.namespace import CLONE_NEWNS, CLONE_NEWUSER, map_user, unshare


def test_state_directory_is_in_the_runtime_or_temporary_folder(tmp_path, monkeypatch, runtime):
    assert state_dir_path() == str(runtime / "pytest-ipc")
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for no_folder in (str(tmp_path / "missing"), str(file), "relative", ""):
        monkeypatch.setenv("XDG_RUNTIME_DIR", no_folder)
        assert state_dir_path() == str(tmp_path / f"pytest-ipc-of-{os.geteuid()}")


@pytest.mark.usefixtures("runtime")
def test_it_is_the_same_inside_and_outside_of_a_user_namespace(monkeypatch, fork):
    """Otherwise root of a container and of the host, with a shared temporary directory, would use the same path."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    outside, uid, gid = state_dir_path(), os.geteuid(), os.getegid()

    def inside() -> tuple[int, str]:
        unshare(CLONE_NEWUSER)
        map_user(7, 7, uid, gid)
        state_paths._pinned = None
        return os.geteuid(), state_dir_path()

    try:
        assert fork(inside).result() == (7, outside)
    except PermissionError as error:
        pytest.skip(f"needs a user namespace: {error}")


def test_another_users_runtime_folder_is_not_used(runtime, monkeypatch):
    """After `su` or `sudo -E` the variable still names it."""
    monkeypatch.setattr(state_paths, "owner", lambda: os.getuid() + 1)
    assert Path(state_dir_path()).parent != runtime


def test_it_is_made_for_its_user_alone(runtime):
    before = os.umask(0)
    try:
        state_dir = open_state_dir(create=True)
    finally:
        os.umask(before)
    assert state_dir is not None
    os.close(state_dir)
    status = os.stat(runtime / "pytest-ipc")
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, os.geteuid())


def a_file(path: Path) -> None:
    path.write_text("")


def a_link(path: Path) -> None:
    target = path.with_name("target")
    target.mkdir(mode=0o700)
    path.symlink_to(target)


def open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def open_to_the_group(path: Path) -> None:
    path.mkdir()
    path.chmod(0o710)


PLACES = {
    "a file": (a_file, "not a usable directory \\(Not a directory\\)"),
    "a FIFO": (os.mkfifo, "not a usable directory \\(Not a directory\\)"),
    "a link": (a_link, "not a usable directory"),
    "open to all": (open_to_all, "is open to others \\(mode 0o777\\)"),
    "open to the group": (open_to_the_group, "is open to others \\(mode 0o710\\)"),
}


def nothing_can_be_made(sentence: str) -> None:
    """Neither a segment nor a FIFO nor a child: an error that says why and where, before the object is made."""
    with pytest.MonkeyPatch.context() as patch, scope() as ipc:
        patch.setattr(ledger, "_ledger", None)
        patch.setattr(ledger, "_guarded", Process.current())  # no reaper of its own for this
        patch.setattr("pytest_ipc.resources.segment.shmget", None)
        patch.setattr("pytest_ipc.resources.fifo.mkfifo", None)
        patch.setattr(unpatched.os, "fork", None)
        for make in (ipc.sysv_shm, ipc.fifo, lambda: ipc.fork(int)):
            with pytest.raises(StateDirError, match=sentence) as caught:
                make()
            assert state_dir_path() in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_directory_that_is_not_private_is_not_used(runtime, place):
    make, sentence = PLACES[place]
    make(runtime / "pytest-ipc")
    nothing_can_be_made(sentence)


def test_another_users_directory_is_not_used(runtime):
    (runtime / "pytest-ipc").mkdir(mode=0o700)
    try:
        os.chown(runtime / "pytest-ipc", 65534, 65534)
    except PermissionError:
        pytest.skip("this user cannot give a directory away")
    nothing_can_be_made("belongs to user 65534")


def test_a_device_is_not_used(runtime):
    try:
        os.mknod(runtime / "pytest-ipc", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this user cannot make a device")
    nothing_can_be_made("not a usable directory \\(Not a directory\\)")


# Disks that are full or closed.


def limited(size: int) -> None:
    """In a child: no file may become larger than *size*; a write beyond is an error and no signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def unlimited() -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.usefixtures("state_dir")
def test_no_object_is_made_when_its_record_cannot_be_written(fork):
    def life():
        mine = ledger.current()
        path = Path(state_dir_path()) / mine.name
        size = path.stat().st_size
        made: list[object] = []
        with scope() as ipc:
            # Space for the first half of a record, then none, then enough.
            for room in (size + 20, size, None):
                unlimited() if room is None else limited(room)
                try:
                    made.append(ipc.sysv_shm(key=0).id > -1)
                except StateDirError as error:
                    made.append(str(error))
            return made, path.read_text().splitlines()[1:]

    child = fork(life)
    made, lines = child.result()
    assert [type(found) for found in made] == [str, str, bool]
    assert "so no object is created without a record" in made[0]
    assert "so no object is created without a record" in made[1]
    assert [line[0] for line in lines] == ["@", "+", "="]


@pytest.mark.usefixtures("runtime")
def test_a_disk_that_is_full_when_the_ledger_is_opened(fork):
    def life():
        limited(1)
        ledger.close()
        try:
            with scope() as ipc:
                ipc.sysv_shm()
        except StateDirError as error:
            return str(error), os.listdir(state_dir_path())
        finally:
            unlimited()

    sentence, files = fork(life).result()
    assert "so no object is created without a record" in sentence
    assert files == []


def mounted(path: Path, *options: str) -> None:
    """In a child: a file system of its own at *path*, as this user or as root of a user namespace."""
    try:
        unshare(CLONE_NEWNS)
    except PermissionError:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
    for command in ("--make-rprivate /", f"-t tmpfs -o {','.join(options)} none {path}"):
        subprocess.run(["mount", *command.split()], check=True, capture_output=True)


def fill(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(fd, b"x" * 512):
            pass
    os.close(fd)


@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_read_only_file_system(runtime, fork, disk):
    def life():
        folder = runtime / "disk"
        folder.mkdir()
        try:
            mounted(folder, f"uid={os.geteuid()}", "mode=700", "size=4k" if disk == "full" else "size=1m")
        except (OSError, subprocess.CalledProcessError) as error:
            return f"not here: {error}"
        ledger.close()
        os.environ["XDG_RUNTIME_DIR"] = tempfile.tempdir = str(folder)  # else the one would do for the other
        state_paths._pinned = None
        ledger._guarded = Process.current()  # no reaper of its own for this
        if disk == "full":
            (folder / "pytest-ipc").mkdir(mode=0o700)
            fill(folder / "big")
        else:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with scope() as ipc:
            try:
                return str(ipc.sysv_shm())
            except StateDirError as error:
                return str(error)

    reported = fork(life).result(timeout=30)
    if reported.startswith("not here"):
        pytest.skip(reported)
    assert ("No space left" if disk == "full" else "Read-only file system") in reported
    assert "so no object is created" in reported


def test_the_suites_python_can_load_it_isolated():
    """With -I -S, as the reaper does; ctypes comes only with the first System V object that it looks for."""
    root = str(Path(state_paths.__file__).parents[2])
    source = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import pytest_ipc.custody.reaper, pytest_ipc.custody.sweep, pytest_ipc.custody.ledger\n"
        "assert 'ctypes' not in sys.modules and 'pytest' not in sys.modules, sorted(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source, root], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
