"""Invalid ledgers: wrong files, records and values are refused in one line, in bounded time and memory."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
from contextlib import chdir
from itertools import count
from pathlib import Path

import pytest

from pytest_ipc import scope, unpatched
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.state_dir import StateDirError
from pytest_ipc.custody.sweep import sweep
from pytest_ipc.kernel import Deadline, process_state, shmctl_stat

from .forging import about, about_queue, about_segment, about_set, dead_process, forge, header, made, one_line

HUGE = "1" + "0" * 5000  # more digits than Python makes a number of
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "+ 1",
        "+ one fifo {}",
        "= 1 {}",
        "? 1",
        "@ [",
        "\x00\x1b[31m\x07",
        "+ 1 fifo " + DEEP,
        "x" * 100_000,
        f"+ {HUGE} fifo {{}}",
        about(1, "fifo", path=5),
        about(1, "fifo", path=...),
        about(1, "fifo", path=["/etc/passwd"]),
        about(1, "fifo", path="/etc/passwd\0"),
        about(1, "fifo", path="/x", directory=7),
        about(1, "fifo", path="/x", uid=-1),
        about(1, "fifo", path="/x", uid=True),
        about(1, "fifo", path="/x", uid="0"),
        about(1, "fifo", path="/x", at=1),
        about(1, "fifo", path="/x", at="1.0"),
        about(1, "fifo", path="/x", at=float("nan")),
        about(1, "fifo", path="/x", at=float("inf")),
        about(1, "fifo", path="/x", at=-1.0),
        about(1, "fifo", path="/x", at=1e300),
        about_segment(key="1"),
        about_segment(key=True),
        about_segment(key=2**31),
        about_segment(size=-1),
        about_segment(size=1.5),
        about_segment(ipc=None),
        about_segment(ipc=...),
        about_set(key=2**31),
        about_set(nsems=-1),
        about_set(nsems="1"),
        about_set(nsems=...),
        about_set(mode=0o1000),
        about_set(mode=-1),
        about_set(mode=None),
        about_set(mode=...),
        about_set(ipc=...),
        about_queue(key=-(2**31) - 1),
        about_queue(mode=0o1000),
        about_queue(mode="0o600"),
        about_queue(mode=...),
        about_queue(ipc=...),
        about(1, "process", tag="1"),
        about(1, "process", tag=None),
    ],
    ids=map(str, count()),
)
def test_invalid_record_is_only_reported(state_dir, line):
    path = forge(state_dir, line)
    assert f"{path}: 1 line is not a valid record: " in one_line(sweep())
    assert path.exists()


@pytest.mark.parametrize(
    "identity", [{"id": "5"}, {"id": True}, {"id": -1}, {"id": 2**31}, {"id": 1e400}, {}, {"id": None}]
)
def test_invalid_identity_is_not_used(state_dir, identity):
    path = forge(state_dir, about_segment(key=0x7777), made(**identity))
    assert f"{path}: 1 line is not a valid record: " in one_line(sweep())


@pytest.mark.parametrize(
    "lines",
    [
        (about_segment(), made(id=-1)),
        (about_segment(), made(id=-1), made(id=-1)),
        (about_segment(size=-1), made(id=5)),
        ("+ 1 fifo " + DEEP,),
    ],
    ids=["identity", "identity-twice", "intent", "no-details"],
)
def test_invalid_record_that_is_closed_does_not_keep_its_ledger(state_dir, lines):
    path = forge(state_dir, *lines, "- 1")
    assert sweep().refused == []
    assert not path.exists()
    path = forge(state_dir, about_segment(2, size=-1), *lines, "- 1")
    assert f"{path}: 1 line is not a valid record: '+ 2 sysv-shm" in one_line(sweep())


def test_a_million_lines_that_are_none_are_one_line(state_dir):
    path = forge(state_dir, *["garbage\x1b[31m"] * 1_000_000)
    assert one_line(sweep()).startswith(f"{path}: 1000000 lines are not valid records, the first: 'garbage\\x1b")


def test_text_of_a_ledger_is_printed_without_control_characters(state_dir, foreign):
    evil = "x\nremoved everything\r\x1b[2J\udc80é"
    segment = foreign["segment"]
    forge(state_dir, f"@ {json.dumps(evil)}", about_segment(key=segment.key, ipc=evil), about(2, "x\r\x1b[2J\u2028é"))
    done = sweep()
    assert all(line.isprintable() for line in done.left)
    assert len(done.left) == 1  # that namespace is not there


def test_kind_of_a_later_version_is_named_and_kept(state_dir):
    path = forge(state_dir, '@ "test_new"', about(1, "from-tomorrow", name="/x"), made(dev=1))
    assert one_line(sweep()).startswith("object of unknown kind 'from-tomorrow', made by test_new in process ")
    assert path.exists()


def begins(state_dir: Path, first: str, process: Process | None = None) -> Path:
    process = process or dead_process()
    path = state_dir / f"{process.pid}-{process.start}.ledger"
    path.write_text(first + "\n" + about(1, "fifo", path="/etc/passwd") + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pid": "5"}, "its first line is not a valid ledger header"),
        ({"pid": -5}, "its first line is not a valid ledger header"),
        ({"pid": HUGE}, "its first line is not a valid ledger header"),
        ({"start": None}, "its first line is not a valid ledger header"),
        ({"boot": ["x"]}, "its first line is not a valid ledger header"),
        ({"root": 5}, "its first line is not a valid ledger header"),
        ({"root": [1]}, "its first line is not a valid ledger header"),
        ({"above": 5}, "its first line is not a valid ledger header"),
        ({"above": [[1]]}, "its first line is not a valid ledger header"),
        ({"above": [[1, "2"]]}, "its first line is not a valid ledger header"),
        ({"root": [True, 2.5]}, "its first line is not a valid ledger header"),
        ({"worker": {}}, "its first line is not a valid ledger header"),
        ({"run": 5}, "its first line is not a valid ledger header"),
        ({"pids": 5}, "its first line is not a valid ledger header"),
        ({"pid": 4_000_000}, "its header names process 4000000, its file name does not"),
    ],
)
def test_invalid_first_line_is_rejected(state_dir, change, sentence):
    process = dead_process()
    path = begins(state_dir, header(process, **change).replace(f'"{HUGE}"', HUGE), process)
    assert one_line(sweep()) == f"{path}: {sentence}"


@pytest.mark.parametrize(
    "first", ["", "garbage", "pytest-ipc", "pytest-ipc 1 {}", f"pytest-ipc 1 {DEEP}", "\xff\xfe 1 {}"]
)
def test_file_without_a_ledger_header_is_rejected(state_dir, first):
    path = begins(state_dir, first)
    assert one_line(sweep()) == f"{path}: its first line is not a valid ledger header"


@pytest.mark.parametrize("version", ["2", "0", "one", HUGE, "1\x1b[2J"], ids=lambda version: version[:5])
def test_unknown_version_is_rejected(state_dir, version):
    begins(state_dir, f"pytest-ipc {version} {{}}")
    line = one_line(sweep())
    assert line.endswith(("of the ledger is not supported", "its first line is not a valid ledger header"))


# Files that are none.


def in_place(state_dir: Path) -> Path:
    process = dead_process()
    return state_dir / f"{process.pid}-{process.start}.ledger"


def test_a_sparse_gigabyte_is_refused_unread(state_dir):
    path = forge(state_dir)
    os.truncate(path, 1 << 30)
    assert one_line(sweep()) == f"{path}: a ledger must be at most {1 << 26} bytes, not {1 << 30}"


def test_largest_ledger_takes_little_memory(state_dir, fork):
    """All of it one line, or a hole: neither is held in memory."""
    whole = forge(state_dir, end="\n" + "x" * 100)
    os.truncate(whole, 1 << 26)

    def life():
        resource.setrlimit(resource.RLIMIT_AS, (memory() + (24 << 20), resource.RLIM_INFINITY))
        done = sweep()
        return done.removed, done.left, done.refused

    assert fork(life).result(timeout=30) == ([], [], [])
    assert not whole.exists()  # text after the last end of a line is not a record, whatever its size


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def test_a_fifo_a_device_a_link_a_directory_a_socket_in_its_place_is_refused(state_dir, foreign):
    places = [in_place(state_dir) for _ in range(5)]
    os.mkfifo(places[0])
    places[1].symlink_to(foreign["file"])
    places[2].mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        with chdir(state_dir):  # a socket's path must be short
            server.bind(places[3].name)
        try:
            os.mknod(places[4], stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: to read it would not end
        except PermissionError:
            places.pop()
        done = sweep()
    assert sorted(done.refused) == sorted(f"{place}: it is not a regular file" for place in places)
    assert (done.removed, done.left) == ([], [])
    assert all(map(os.path.lexists, places))


def test_a_file_with_two_names_is_refused(state_dir, tmp_path):
    path = forge(state_dir, about(1, "fifo", path="/etc/passwd"))
    os.link(path, tmp_path / "other")
    assert one_line(sweep()) == f"{path}: it has 2 links"


def test_another_users_file_is_refused(state_dir):
    path = forge(state_dir)
    try:
        os.chown(path, 65534, 65534)
    except PermissionError:
        pytest.skip("needs a second user: this one is not root")
    assert one_line(sweep()) == f"{path}: it belongs to user 65534"


@pytest.mark.parametrize("name", ["x.ledger", "1-2-3.ledger", "0x10-5.ledger", "..ledger", "1.ledger"])
def test_invalid_file_name_is_rejected_or_ignored(state_dir, name):
    (state_dir / name).write_text(header(dead_process()) + "\n")
    done = sweep()
    assert len(done.refused) == (not name.startswith("."))


def test_state_directory_that_is_not_private_is_not_swept(state_dir):
    path = forge(state_dir, about(1, "fifo", path="/nowhere"))
    state_dir.chmod(0o777)
    with pytest.raises(StateDirError, match="is open to others"):
        sweep()
    assert path.exists()


def test_undeletable_file_is_reported(state_dir, monkeypatch):
    path = forge(state_dir)

    def refuse(*_arguments, **_named):
        raise OSError(30, os.strerror(30))

    with monkeypatch.context() as patch:
        patch.setattr(unpatched.os, "unlink", refuse)
        assert one_line(sweep()) == f"{path}: Read-only file system"


def test_ledger_that_claims_objects_of_a_living_process_removes_none(state_dir, fork):
    """Two owners, one object: the record of a dead process that did not make it proves nothing."""

    def life():
        with scope() as ipc:
            segment, fifo = ipc.sysv_shm(), ipc.fifo()
            print(segment.id, segment.key, fifo.path, flush=True)
            signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    shmid, key, path = child.output.split()
    forge(state_dir, about_segment(key=int(key)), made(id=int(shmid)))
    one_line(sweep())
    assert shmctl_stat(int(shmid)).nattch == 0
    assert os.path.lexists(path)
    state = process_state(child.pid)
    assert state is not None
    assert Deadline(30).until(lambda: child.alive)
