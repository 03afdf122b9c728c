"""Shared memory and mapped files: those of dead processes are removed, unproven ones are kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ipc import scope, unused_name
from pytest_ipc.custody.kinds.file import is_older
from pytest_ipc.custody.ledger import CLOCK_REALTIME_COARSE
from pytest_ipc.custody.sweep import sweep

from .forging import FIRST_BOOT, about, file_made, forge, made, one_line

SHM = Path("/dev/shm")
Make = Callable[..., Path]


@pytest.fixture
def in_shm() -> Iterator[Make]:
    """Make a file in /dev/shm that no record is of: in_shm(name, content)."""
    paths = []

    def make(name: str, content: bytes = b"") -> Path:
        path = SHM / name.removeprefix("/")
        path.write_bytes(content)
        paths.append(path)
        return path

    yield make
    for path in paths:
        path.unlink(missing_ok=True)


def test_leftovers_of_a_killed_process_are_removed(state_dir, fork):
    def life():
        with scope() as ipc:
            shared, mapped, placed = (
                ipc.posix_shm(),
                ipc.mapped_file(),
                ipc.mapped_file(path=state_dir.parent / "placed"),
            )
            print(f"/dev/shm{shared.name}", mapped.path, placed.path, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    child = fork(life)
    child.wait()
    paths = child.output.split()
    assert len(paths) == 3
    reported = sweep(dry_run=True).removed
    assert all(map(os.path.lexists, paths))
    done = sweep()
    assert not any(map(os.path.lexists, [*paths, os.path.dirname(paths[1])]))
    assert sorted(reported) == sorted(done.removed)
    assert sorted(line.partition("/")[0] for line in reported) == [
        "POSIX shared memory ",
        "mapped file ",
        "mapped file ",
    ]
    assert (done.left, done.refused) == ([], [])


@pytest.mark.parametrize(
    ("name", "content", "ago", "what"),
    [
        pytest.param("/chosen-", b"", 0, True, id="a chosen name, born right after and still empty"),
        pytest.param("/chosen-", b"x", 0, False, id="a chosen name and something in it"),
        pytest.param("/chosen-", b"", 60, False, id="a chosen name, born long after"),
        pytest.param("/pytest-ipc-", b"x", 60, True, id="a name that was drawn for it"),
    ],
)
def test_process_killed_before_it_recorded_the_identity(state_dir, in_shm, name, content, ago, what):
    """Then only the name is known, and another process may have an object of a name that a user chose."""
    name = name + unused_name().removeprefix("/pytest-ipc-")
    at = time.clock_gettime(CLOCK_REALTIME_COARSE) - ago
    path = in_shm(name, content)
    forge(state_dir, about(1, "posix-shm", name=name, at=at))
    done = sweep()
    assert (len(done.removed), len(done.left), path.exists()) == (what, not what, not what)


def test_an_object_of_the_same_tick_is_not_older_than_its_record():
    """A time in seconds is rounded one way by clock_gettime() and another way in st_ctime."""
    first = 1_796_021_980 * 10**9
    for time_ns in range(first, first + 10**9, 999_983):
        assert not is_older(time_ns, time_ns / 1e9)
        assert not is_older(time_ns, time_ns // 10**9 + 1e-9 * (time_ns % 10**9))
        assert is_older(time_ns - 10_000, time_ns / 1e9)


def test_replaced_shared_memory_is_kept(state_dir, in_shm):
    name = unused_name()
    path = in_shm(name)
    found = path.stat()
    for details, identity, sentence in (
        ({"at": time.time() + 3600}, None, "it is older than the record"),
        (
            {},
            {"dev": found.st_dev, "ino": found.st_ino + 1},
            "it is not the POSIX shared memory that was made",
        ),
        (
            {},
            {"dev": found.st_dev + 1, "ino": found.st_ino},
            "it is not the POSIX shared memory that was made",
        ),
        ({"uid": 65533}, None, f"it belongs to user {os.geteuid()}"),
    ):
        ledger = forge(
            state_dir, about(1, "posix-shm", **{"name": name, **details}), *([made(**identity)] if identity else [])
        )
        assert one_line(sweep()).endswith(sentence)
        ledger.unlink()
    assert path.stat() == found


@pytest.mark.parametrize("name", ["/../null", "//null", "null", "/./null", "/../../etc/passwd", "", "/"])
def test_a_name_leads_nowhere_else(state_dir, name):
    before = os.lstat("/dev/null"), os.lstat("/etc/passwd"), os.lstat("/dev/shm").st_ino
    forge(state_dir, about(1, "posix-shm", name=name))
    done = sweep()
    assert done.removed == []
    assert all(line.rpartition(": ")[2].startswith("it") for line in done.left)
    assert (os.lstat("/dev/null"), os.lstat("/etc/passwd"), os.lstat("/dev/shm").st_ino) == before


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_special_file_is_kept(state_dir, tmp_path, kind):
    name = unused_name()
    path = SHM / name[1:]
    (tmp_path / "target").write_text("kept")
    match kind:
        case "link":
            path.symlink_to(tmp_path / "target")
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
    found = path.lstat()
    forge(state_dir, about(1, "posix-shm", name=name), made(dev=found.st_dev, ino=found.st_ino))
    try:
        assert one_line(sweep()).endswith("it is not a regular file")
        assert path.lstat() == found
    finally:
        path.rmdir() if kind == "directory" else path.unlink()
    assert (tmp_path / "target").read_text() == "kept"


def test_an_object_that_was_given_to_another_user_is_still_the_one_that_was_made(state_dir, in_shm):
    name = unused_name()
    path = in_shm(name, b"x")
    try:
        os.chown(path, 65534, 65534)
    except PermissionError:
        pytest.skip("needs a second user: this one is not root")
    found = path.stat()
    forge(state_dir, about(1, "posix-shm", name=name), made(dev=found.st_dev, ino=found.st_ino))
    assert len(sweep().removed) == 1
    assert not path.exists()


def test_preexisting_file_is_kept_even_if_written_to(state_dir, tmp_path):
    path = tmp_path / "data"
    path.write_text("somebody's")
    ledger = forge(state_dir, about(1, "mapped-file", path=str(path)))
    assert "it is not empty" in one_line(sweep())
    assert path.read_text() == "somebody's"
    ledger.unlink()
    forge(state_dir, about(1, "mapped-file", path=str(path)), file_made(path))
    assert len(sweep().removed) == 1


def test_of_an_earlier_boot_only_the_file_is_looked_for(state_dir, in_shm):
    name = unused_name()
    path = in_shm(name)
    directory = state_dir.parent / f"pytest-ipc-{9:016x}"
    directory.mkdir()
    (directory / "mapped-file").write_text("x")
    forge(
        state_dir,
        about(1, "posix-shm", name=name),
        about(2, "mapped-file", path=str(directory / "mapped-file"), directory=str(directory)),
        boot=FIRST_BOOT,
    )
    done = sweep()
    assert (len(done.removed), done.left, path.exists(), directory.exists()) == (1, [], True, False)


@pytest.mark.parametrize("name", [5, None, ["/x"], "/x\0"])
def test_invalid_name_makes_an_invalid_record(state_dir, name):
    path = forge(state_dir, about(1, "posix-shm", name=name))
    assert f"{path}: 1 line is not a valid record: " in one_line(sweep())
