"""A sweep of forged ledgers: no foreign object is removed, no foreign process signalled, each refusal is one line.

A ledger can be forged only by its own user or by root, as its directory is closed to others. So these are forged as
that user, and the objects in their records are foreign: every test creates some, which must survive.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from pathlib import Path

import pytest

from pytest_ipc import scope
from pytest_ipc.custody import state_paths
from pytest_ipc.custody.identity import TAGS, Process, new_tag, start_of, tag_of
from pytest_ipc.custody.kinds.file import look
from pytest_ipc.custody.sweep import sweep

from .forging import about, about_segment, file_made, forge, made, one_line
from .test_sweep import exists


@pytest.mark.parametrize("by", ["id", "key"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "its creating process is"),
        ({"size": 8192}, "its creating process is|its size is 4096, not 8192"),
        ({"uid": 65533}, "its creating process is|its creating user is"),
    ],
)
def test_foreign_segment_is_kept(state_dir, foreign, by, change, sentence):
    segment = foreign["segment"]
    lines = [about_segment(**{"key": segment.key, **change})]
    forge(state_dir, *lines, *([made(id=segment.id)] if by == "id" else []))
    assert any(part in one_line(sweep()) for part in sentence.split("|"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": 8192}, "its size is 4096, not 8192"),
        ({"uid": 65533}, f"its creating user is {os.geteuid()}, not 65533"),
        ({"key": 0x1111}, "its key is"),
        ({"at": time.time() + 3600}, "it is older than the record"),
    ],
)
def test_a_recycled_id_is_another_segment(state_dir, foreign, change, sentence):
    """The same id, by the same process id even: size, user, key or time say that it is another."""
    segment = foreign["segment"]
    process = Process(os.getpid(), Process.current().start + 1)  # the process id was recycled, too
    forge(state_dir, about_segment(**{"key": segment.key, **change}), made(id=segment.id), process=process)
    assert sentence in one_line(sweep())


def test_id_of_another_sequence_is_a_removed_object(state_dir, foreign):
    segment = foreign["segment"]
    forge(state_dir, about_segment(key=segment.key), made(id=(segment.id + 32768) & 0x7FFFFFFF))
    done = sweep()
    assert (done.removed, done.left, done.refused) == ([], [], [])


def test_a_private_segment_without_an_id_is_not_guessed(state_dir):
    """By its creator, size and time: another's, or one that is older, is none of them."""
    with scope() as ipc:
        private = ipc.sysv_shm(key=0)
        forge(state_dir, about_segment(key=0))
        forge(state_dir, about_segment(key=0, at=time.time() + 3600), process=Process(os.getpid(), 1))
        done = sweep()
        assert (done.removed, done.left, private.exists()) == ([], [], True)


def test_another_users_segment_stays(state_dir, fork):
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")

    def life():
        os.setresuid(65534, 65534, 65534)
        with scope() as ipc:
            segment = ipc.sysv_shm()
            print(segment.id, segment.key, flush=True)
            signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    shmid, key = map(int, child.output.split())
    # All that can be known of it, but the user whose ledger this is.
    process = Process(child.pid, 1)
    forge(state_dir, about_segment(key=key, at=time.time() - 60), made(id=shmid), process=process)
    assert "its creating user is 65534, not 0" in one_line(sweep())
    assert exists(shmid)


def test_an_ordinary_users_sweep_cannot_touch_another_users_objects(state_dir, foreign, fork):
    """With a record that fits in every detail, including the user, the kernel refuses, which is reported."""
    if os.geteuid() != 0:
        pytest.skip("needs a second user: this one is not root")
    segment, fifo, process = foreign["segment"], foreign["fifo"], foreign["process"]
    forge(
        state_dir,
        about_segment(1, key=segment.key, at=time.time() - 3600, uid=0),
        made(1, id=segment.id),
        about(2, "fifo", path=str(fifo), uid=0, at=time.time() - 3600),
        file_made(fifo, 2),
        about(3, "process", tag=new_tag()),
        made(3, pid=process.pid, start=start_of(process.pid)),
        process=Process(os.getpid(), 1),
    )
    theirs = fifo.parent / "theirs"
    theirs.mkdir(mode=0o700)
    state_dir.rename(theirs / "pytest-ipc")
    state_dir.mkdir(mode=0o700)
    for path in (theirs, theirs / "pytest-ipc", *(theirs / "pytest-ipc").iterdir()):
        os.chown(path, 65534, 65534)

    def life():
        os.environ["XDG_RUNTIME_DIR"] = str(theirs)
        state_paths._pinned = None
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        done = sweep()
        return done.removed, done.left

    removed, left = fork(life).result()
    assert removed == []
    assert [line.rpartition(": ")[2] for line in left] == [
        "Operation not permitted",
        "Permission denied",
        "Operation not permitted",
    ]


# FIFOs.


def test_path_of_another_file_is_kept(state_dir, foreign, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(foreign["fifo"])
    named = {
        "/etc/passwd": "it is not a FIFO",
        str(foreign["file"]): "it is not a FIFO",
        str(foreign["empty"]): "it is a directory",
        str(link): "it is not a FIFO",
        f"{foreign['empty']}/../fifo": "its path is not absolute and without ..",
        os.path.relpath(foreign["fifo"]): "its path is not absolute and without ..",
        "/dev/null": "it is not a FIFO" if os.stat("/dev/null").st_uid == os.geteuid() else "it belongs to user",
    }
    before = Path("/etc/passwd").read_bytes()
    for path, sentence in named.items():
        ledger = forge(state_dir, about(1, "fifo", path=path))
        assert f": {sentence}" in one_line(sweep())
        ledger.unlink()
    assert link.is_symlink()
    assert Path("/etc/passwd").read_bytes() == before


def test_replaced_fifo_is_kept(state_dir, foreign):
    path, found = str(foreign["fifo"]), os.lstat(foreign["fifo"])
    for details, identity, sentence in (
        ({"at": time.time() + 3600}, None, "it is older than the record"),
        ({}, {"dev": found.st_dev, "ino": found.st_ino + 1}, "it is not the FIFO that was made"),
        ({}, {"dev": found.st_dev + 1, "ino": found.st_ino}, "it is not the FIFO that was made"),
        ({"uid": 65533}, None, f"it belongs to user {os.geteuid()}"),
        ({"directory": str(foreign["empty"])}, None, "it is not in a directory created for it"),
        ({"directory": str(foreign["fifo"].parent)}, None, "it is not in a directory created for it"),
    ):
        ledger = forge(
            state_dir, about(1, "fifo", **{"path": path, **details}), *([made(**identity)] if identity else [])
        )
        assert one_line(sweep()).endswith(sentence)
        ledger.unlink()


def test_replaced_socket_is_kept(state_dir, foreign, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    found = os.lstat(path)
    for details, identity, sentence in (
        ({"at": time.time() + 3600}, None, "it is older than the record"),
        ({}, {"dev": found.st_dev, "ino": found.st_ino + 1}, "it is not the UNIX socket that was made"),
        ({"path": str(foreign["fifo"])}, None, "it is not a UNIX socket"),
        ({"path": str(foreign["file"])}, None, "it is not a UNIX socket"),
        ({"path": str(foreign["empty"])}, None, "it is a directory"),
        ({"uid": 65533}, None, f"it belongs to user {os.geteuid()}"),
        ({"directory": str(tmp_path)}, None, "it is not in a directory created for it"),
    ):
        ledger = forge(
            state_dir, about(1, "unix-socket", **{"path": path, **details}), *([made(**identity)] if identity else [])
        )
        assert one_line(sweep()).endswith(sentence)
        ledger.unlink()
    assert os.lstat(path) == found


def test_recorded_socket_is_removed(state_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    path = str(tmp_path / "socket")
    forge(state_dir, about(1, "unix-socket", path=path), file_made(path))
    done = sweep()
    assert ([line.partition(",")[0] for line in done.removed], done.left) == ([f"UNIX socket {path}"], [])
    assert not os.path.lexists(path)


def test_replaced_lock_file_is_kept(state_dir, foreign):
    path, found = str(foreign["file"]), os.lstat(foreign["file"])
    for details, identity, sentence in (
        ({"at": time.time() + 3600}, None, "it is older than the record"),
        ({}, {"dev": found.st_dev, "ino": found.st_ino + 1}, "it is not the lock file that was made"),
        ({"path": str(foreign["fifo"])}, None, "it is not a lock file"),
        ({"path": str(foreign["empty"])}, None, "it is a directory"),
        ({"uid": 65533}, None, f"it belongs to user {os.geteuid()}"),
        ({"directory": str(foreign["file"].parent)}, None, "it is not in a directory created for it"),
    ):
        ledger = forge(
            state_dir, about(1, "lock-file", **{"path": path, **details}), *([made(**identity)] if identity else [])
        )
        assert one_line(sweep()).endswith(sentence)
        ledger.unlink()


def test_private_directory_with_other_files_is_kept(state_dir, tmp_path):
    directory = tmp_path / f"pytest-ipc-{1:016x}"
    directory.mkdir()
    (directory / "file").write_text("kept")
    forge(state_dir, about(1, "fifo", path=str(directory / "fifo"), directory=str(directory)))
    assert one_line(sweep()).endswith("Directory not empty")
    assert (directory / "file").read_text() == "kept"


def test_directory_exchanged_during_the_sweep_is_not_followed(state_dir, foreign, tmp_path, monkeypatch):
    """Between check and removal, the directory is replaced by a link to one with a file of that name."""
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "file")
    forge(state_dir, about(1, "fifo", path=str(folder / "file")), file_made(folder / "file"))
    looks: list[str] = []

    def exchanging(path):
        found = look(path)
        if path == str(folder / "file"):
            looks.append(path)
            folder.rename(tmp_path / "elsewhere")
            folder.symlink_to(foreign["file"].parent)
        return found

    with monkeypatch.context() as patch:
        patch.setattr("pytest_ipc.custody.kinds.file.look", exchanging)
        line = one_line(sweep())
    assert looks
    assert line.endswith(("Not a directory", "Too many levels of symbolic links"))


# Processes.


def test_process_with_a_reused_id_is_not_signalled(state_dir, foreign):
    process = foreign["process"]
    start = start_of(process.pid) or 0
    # # Another start time means another process, which is gone; nothing is reported.
    for identity in ({"pid": process.pid, "start": start + 1}, {"pid": process.pid, "start": 0}):
        forge(state_dir, about(1, "process", tag=new_tag()), made(**identity))
        done = sweep()
        assert (done.removed, done.left, done.refused) == ([], [], [])


def test_own_and_earlier_processes_are_not_killed(state_dir):
    own = Process.current()
    ledger = forge(
        state_dir, about(1, "process", tag=new_tag()), made(pid=own.pid, start=own.start), process=Process(2**22, 0)
    )
    assert one_line(sweep()).endswith("it is this process or its ancestor")
    ledger.unlink()
    parent = os.getppid()
    forge(state_dir, about(1, "process", tag=new_tag()), made(pid=parent, start=start_of(parent)))
    assert one_line(sweep()).endswith("it is older than its recorded parent")


def test_own_tag_kills_nothing(state_dir, fork):
    """A sweep among the descendants of the child that it is to end."""

    def life():
        forge(state_dir, about(1, "process", tag=tag_of("self")))
        return one_line(sweep())

    assert fork(life).result().endswith("it is this process or its ancestor")


@pytest.mark.parametrize("pid", [0, 1, -1, -2])
def test_process_1_and_groups_are_not_children(state_dir, pid):
    ledger = forge(state_dir, about(1, "process", tag=new_tag()), made(pid=pid, start=start_of(1) or 0))
    assert "1 line is not a valid record" in one_line(sweep())
    assert ledger.exists()


@pytest.mark.parametrize("tag", [0, 1000, TAGS[0] - 1, TAGS[1] + 1, 2**64 - 1])
def test_common_limit_is_not_a_tag(state_dir, fork, tag):
    """An administrator may have set a limit of file locks for everybody."""

    def life():
        resource.setrlimit(10, (min(tag, 2**63 - 1), resource.getrlimit(10)[1]))
        print("limited", flush=True)
        signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    forge(state_dir, about(1, "process", tag=tag))
    assert "1 line is not a valid record" in one_line(sweep())
    assert child.alive
