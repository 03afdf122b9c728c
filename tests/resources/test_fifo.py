"""FIFOs: both ends with a deadline, blocked processes released, and other files not touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pytest_ipc import Fifo, scope, unpatched
from pytest_ipc.kernel import open_descriptors


@pytest.fixture
def ipc():
    """Ipc whose end is the test's to choose."""
    with scope() as factories:
        yield factories


def hold_writer(path: Path, text: bytes, until: int) -> None:
    with open(path, "wb", buffering=0) as writer:
        writer.write(text)
        os.read(until, 1)


def test_it_lives_as_long_as_its_block(temporary_root):
    with Fifo.create(mode=0o640) as fifo:
        assert stat.S_ISFIFO(fifo.path.stat().st_mode)
        assert stat.S_IMODE(fifo.path.stat().st_mode) == 0o640
        assert (fifo.path.parent.parent, repr(fifo)) == (temporary_root, f"<Fifo {fifo.path}>")
    assert not fifo.path.parent.exists()


@pytest.mark.parametrize("kind", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
def test_it_can_be_given_a_path_of_any_kind(tmp_path, kind):
    with Fifo.create(path=kind(str(tmp_path / "here"))) as fifo:
        assert fifo.path == tmp_path / "here"
    assert list(tmp_path.iterdir()) == []


def test_relative_path_survives_chdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Fifo.create(path="here"):
        monkeypatch.chdir("/")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_path_is_refused_and_kept(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError) as caught:
        Fifo.create(path=tmp_path / "file")
    assert caught.value.__notes__ == [f"while making a FIFO at {tmp_path / 'file'}"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("end", ["reader", "writer"])
def test_timeout_without_a_partner(end):
    with Fifo.create() as fifo:
        before = open_descriptors()
        other = {"reader": "writer", "writer": "reader"}[end]
        with pytest.raises(
            TimeoutError, match=f"waited 0.01 s for a {other} to open {fifo.path}; .* (reports none|fails with ENXIO)"
        ):
            getattr(fifo, f"open_{end}")(timeout=0.01)
        assert open_descriptors() == before


def test_a_reader_opens_when_a_writer_waits(ipc):
    fifo = ipc.fifo()
    child = ipc.fork(os.open, fifo.path, os.O_WRONLY)
    child.wait_blocked("open")
    reader = fifo.open_reader()
    assert child.result() > 2
    assert os.get_blocking(reader.fileno())
    assert reader.read() == b""


def test_a_writer_opens_when_a_reader_waits(ipc):
    fifo = ipc.fifo()
    child = ipc.fork(fifo.path.read_bytes)
    child.wait_blocked("open")
    writer = fifo.open_writer()
    assert os.get_blocking(writer.fileno())
    writer.write(b"water")
    writer.close()
    assert child.result() == b"water"


def test_reader_opens_with_a_later_writer_and_keeps_its_data(ipc):
    fifo, hold = ipc.fifo(), ipc.pipe()
    child = ipc.fork(hold_writer, fifo.path, b"early", hold.read_fd)
    reader = fifo.open_reader()
    child.wait_blocked("read")
    assert reader.read() == b"early"
    hold.write(b"x")
    child.result()
    assert reader.read() == b""


@pytest.mark.parametrize("text", [b"", b"gone"])
def test_reader_opens_for_a_writer_that_has_closed(ipc, text, monkeypatch):
    fifo = ipc.fifo()

    def write():
        with open(fifo.path, "wb", buffering=0) as writer:
            writer.write(text)

    first_open = os.open

    def open_and_let_a_writer_pass(*args):
        fd = first_open(*args)
        monkeypatch.setattr(unpatched.os, "open", first_open)
        ipc.fork(write).result()
        return fd

    monkeypatch.setattr(unpatched.os, "open", open_and_let_a_writer_pass)
    assert fifo.open_reader().read() == text


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY], ids=["reader", "writer"])
def test_a_blocked_opener_is_let_go_at_the_end(fork, flags):
    with Fifo.create() as fifo:
        child = fork(os.open, fifo.path, flags)
        child.wait_blocked("open")
    assert child.result() > 2


@pytest.mark.parametrize("mode", [0, 0o200, 0o400])
def test_a_fifo_that_may_not_be_opened_lets_go_too(fork, mode):
    with Fifo.create() as fifo:
        child = fork(os.open, fifo.path, os.O_RDONLY)
        child.wait_blocked("open")
        fifo.path.chmod(mode)
    assert child.result() > 2
    assert not fifo.path.exists()


def test_another_file_in_its_place_is_not_removed(tmp_path):
    with Fifo.create(path=tmp_path / "fifo") as fifo:
        fifo.path.unlink()
        fifo.path.write_text("another's")
    assert (tmp_path / "fifo").read_text() == "another's"


def test_another_fifo_in_its_place_is_not_removed(tmp_path):
    with Fifo.create(path=tmp_path / "fifo") as fifo:
        fifo.path.unlink()
        os.mkfifo(fifo.path)
    assert list(tmp_path.iterdir()) == [tmp_path / "fifo"]


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY], ids=["reader", "writer"])
def test_process_blocked_on_a_removed_name_is_released(fork, flags):
    with Fifo.create() as fifo:
        child = fork(os.open, fifo.path, flags)
        child.wait_blocked("open")
        fifo.path.unlink()
    assert child.result() > 2


def test_fifo_removed_by_the_test_is_harmless(tmp_path):
    with Fifo.create(path=tmp_path / "fifo") as fifo:
        fifo.path.unlink()
    with Fifo.create() as fifo:
        fifo.path.unlink()
        fifo.path.parent.rmdir()


def test_its_ends_are_closed_with_it():
    before = open_descriptors()
    with Fifo.create() as fifo:
        keeper = os.open(fifo.path, os.O_RDWR)
        ends = [fifo.open_reader(), fifo.open_writer()]
        os.close(keeper)
        assert fifo.descriptors() == [end.fileno() for end in ends]
    assert open_descriptors() == before
    assert all(end.closed for end in ends)


def test_end_closed_by_number_is_reported_and_the_fifo_removed(tmp_path):
    before = open_descriptors()
    fifo = Fifo.create(path=tmp_path / "fifo")
    keeper = os.open(fifo.path, os.O_RDWR)
    reader, _writer = fifo.open_reader(), fifo.open_writer()
    os.close(keeper)
    os.close(reader.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        fifo.close()
    assert open_descriptors() == before
    assert list(tmp_path.iterdir()) == []
