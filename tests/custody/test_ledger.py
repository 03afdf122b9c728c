"""Records: complete and short, and on file before their object exists."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ipc import Fifo, Segment, unpatched
from pytest_ipc.custody.identity import Process
from pytest_ipc.custody.ledger import LONGEST
from pytest_ipc.custody.machine import boot_id
from pytest_ipc.custody.record import made_by
from pytest_ipc.custody.state_dir import state_dir_path
from pytest_ipc.kernel import mkfifo, shmget

from .parsed import parsed, records, text


def test_the_first_line_says_whose_it_is(own):
    word, version, header = text(own)[0].split(" ", 2)
    process = Process.current()
    assert (word, version) == ("pytest-ipc", "2")
    assert {name: json.loads(header)[name] for name in ("pid", "start", "boot", "root")} == {
        "pid": process.pid,
        "start": process.start,
        "boot": boot_id(),
        "root": [process.pid, process.start],
    }
    status = os.stat(os.path.join(state_dir_path(), own.name))
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())


def test_a_segment_is_on_record_before_it_exists(own, monkeypatch):
    seen: list[list[str]] = []

    def look(key, size, flags):
        seen.append(records(own))
        return shmget(key, size, flags)

    monkeypatch.setattr("pytest_ipc.resources.segment.shmget", look)
    with Segment.create(3 * 4096) as segment:
        (line,) = seen[0]
        assert line.startswith("+ 1 sysv-shm ")
        details = json.loads(line.split(" ", 3)[3])
        assert (details["key"], details["size"], details["uid"]) == (segment.key, 3 * 4096, os.geteuid())
        assert records(own) == seen[0]  # the exclusive key identifies the object
    assert records(own)[1:] == ["- 1"]


def test_object_without_a_key_is_recorded_twice(own):
    with Segment.create(4096, key=0) as segment:
        assert records(own)[1:] == [f'= 1 {{"id": {segment.id}}}']
    assert records(own)[2:] == ["- 1"]


def test_a_fifo_is_on_record_before_it_exists(own, monkeypatch):
    seen: list[tuple[bool, list[str]]] = []

    def look(real: Callable[..., None]) -> Callable[..., None]:
        def call(path: Path, mode: int) -> None:
            seen.append((os.path.lexists(path), records(own)))
            return real(path, mode)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(unpatched.os, "mkdir", look(os.mkdir))
        patch.setattr("pytest_ipc.resources.fifo.mkfifo", look(mkfifo))
        fifo = Fifo.create()
    with fifo:
        assert [exists for exists, _ in seen] == [False, False]  # the directory, the FIFO
        assert seen[0][1] == seen[1][1]
        details = json.loads(seen[0][1][0].split(" ", 3)[3])
        assert (details["path"], details["directory"]) == (str(fifo.path), str(fifo.path.parent))


def test_a_child_is_on_record_before_it_runs(own, fork):
    def life():
        return (Path(state_dir_path()) / own.name).read_text().splitlines()[1:]

    child = fork(life)
    seen = [line for line in child.result() if line[0] != "@"]
    assert seen[0].startswith('+ 1 process {"at": ')
    child.close()
    assert json.loads(records(own)[1].split(" ", 2)[2])["pid"] == child.pid
    assert records(own)[-1] == "- 1"


def test_a_failed_call_closes_its_record(own, tmp_path):
    with Segment.create() as segment, pytest.raises(FileExistsError):
        Segment.create(key=segment.key)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        Fifo.create(path=tmp_path / "file")
    assert parsed(own).open == []
    assert (tmp_path / "file").is_file()


@pytest.mark.usefixtures("own")
def test_failure_after_mkfifo_removes_the_fifo(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, *arguments, **named):
        if flags & os.O_PATH:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(unpatched.os, "open", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            Fifo.create(path=tmp_path / "fifo")
    assert not (tmp_path / "fifo").exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), TimeoutError("of a handler"), RuntimeError()])
def test_a_record_stays_when_an_interrupt_may_have_come_after_the_call(own, interruption):
    with pytest.raises(type(interruption)), own.intend("fifo", {"path": "/nowhere"}):
        raise interruption
    assert [entry.details["path"] for entry in parsed(own).open] == ["/nowhere"]


def test_a_record_that_does_not_fit_is_refused_before_anything_is_made(own, tmp_path, monkeypatch):
    deep = tmp_path
    monkeypatch.chdir(tmp_path)  # which goes back at the end
    for _ in range(16):
        deep /= "d" * 250
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    with pytest.raises(ValueError, match=f"must be at most {LONGEST} bytes, not"):
        Fifo.create(path="x")
    assert os.listdir() == []
    assert records(own) == []


def test_a_name_of_a_test_of_any_length_and_script_is_kept_in_part(own, monkeypatch):
    monkeypatch.setattr(made_by, "test", "test_it[" + "\U0001f427\udc80" * 50_000 + "]")
    own.intend("fifo", {"path": "/nowhere"})
    (entry,) = parsed(own).open
    assert entry.test is not None
    assert entry.test.startswith("test_it[\U0001f427\udc80")
    assert max(map(len, (Path(state_dir_path()) / own.name).read_bytes().splitlines())) <= LONGEST
    assert parsed(own).unreadable == 0


def test_line_fits_an_atomic_write():
    assert os.pathconf("/", "PC_PIPE_BUF") > LONGEST


def test_incomplete_record_is_ignored(own):
    before = own.intend("fifo", {"path": "/before"})
    path = Path(state_dir_path()) / own.name
    whole = path.read_bytes()
    own.intend("fifo", {"path": "/after"})
    last = path.read_bytes()[len(whole) :]
    for length in range(len(last) + 1):
        path.write_bytes(whole + last[:length])
        found = parsed(own)
        assert [entry.details["path"] for entry in found.open] == ["/before"] + ["/after"] * (length == len(last))
        assert found.unreadable == 0
    before.closed()
