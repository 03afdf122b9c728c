"""The folder for temporary files: the one that tempfile finds, but nothing is written there to find it."""

from __future__ import annotations

import os
import tempfile

import pytest

from pytest_ipc import Fifo
from pytest_ipc.custody.private_folder import temp_folder


@pytest.mark.parametrize("value", ["here", "no such folder", "a file", "", None])
@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_it_is_tempfiles_own_choice(tmp_path, monkeypatch, variable, value):
    (tmp_path / "here").mkdir()
    (tmp_path / "a file").touch()
    monkeypatch.setattr(tempfile, "tempdir", None)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value and str(tmp_path / value))
    found = temp_folder()
    assert found == tempfile.gettempdir()
    assert (found == str(tmp_path / "here")) is (value == "here")
    monkeypatch.setenv(variable, str(tmp_path))
    assert temp_folder() == found, "a choice that tempfile has made stands"


def test_sweep_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = os.stat(tmp_path).st_mtime_ns
    assert temp_folder() == str(tmp_path)
    assert os.stat(tmp_path).st_mtime_ns == before
    assert tempfile.gettempdir() == str(tmp_path)
    assert os.stat(tmp_path).st_mtime_ns > before, "tempfile does, which is why it is not asked"


def test_folder_writable_by_others_is_rejected(tmp_path, monkeypatch):
    """In a world-writable directory without sticky bit, other users can rename a private directory."""
    open_folder = tmp_path / "open"
    (open_folder / "below").mkdir(parents=True)
    open_folder.chmod(0o777)
    for folder in (open_folder, open_folder / "below"):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with pytest.raises(PermissionError, match=f"without sticky bit.*chmod \\+t {open_folder}"):
            Fifo.create()
    assert os.listdir(open_folder / "below") == []
    open_folder.chmod(0o1777)
    Fifo.create().close()


def test_a_private_folder_that_was_exchanged_is_not_removed(tmp_path, monkeypatch):
    """The directory was replaced: the replacement stays with its contents, and the object is removed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fifo = Fifo.create()
    folder, moved = fifo.path.parent, tmp_path / "moved"
    folder.rename(moved)
    folder.mkdir()
    (folder / "precious").write_text("kept")
    (folder / "fifo").write_text("kept")
    fifo.close()
    assert sorted(path.name for path in folder.iterdir()) == ["fifo", "precious"]
    assert os.listdir(moved) == []


def test_private_folder_is_removed_with_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Fifo.create() as fifo:
        (fifo.path.parent / "deep" / "deeper").mkdir(parents=True)
        (fifo.path.parent / "deep" / "deeper" / "file").write_text("x")
        (fifo.path.parent / "link").symlink_to(tmp_path)
        fifo.path.parent.chmod(0)
    assert os.listdir(tmp_path) == []


def test_reused_descriptor_is_not_used(tmp_path):
    """The test has closed the object's own, and opened its files under their numbers."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "fifo").write_text("kept")
    fifo = Fifo.create(path=tmp_path / "fifo")
    assert fifo._file is not None
    held = dict(fifo._file._held)
    for fd in held:
        os.close(fd)
        opened = os.open(beside, os.O_RDONLY)
        if opened != fd:
            os.dup2(opened, fd)
            os.close(opened)
    fifo.close()
    assert not os.path.lexists(tmp_path / "fifo")
    assert (beside / "fifo").read_text() == "kept"
    for fd in held:
        assert os.path.samestat(os.fstat(fd), beside.stat()), "it is the test's own now"
        os.close(fd)


def test_the_working_directory_may_have_been_removed(program):
    program(
        """
import os, tempfile
import pytest_ipc
gone = tempfile.mkdtemp()
os.chdir(gone)
os.rmdir(gone)
with pytest_ipc.scope() as ipc:
    with ipc.fifo(), ipc.mapped_file(1), ipc.file_lock(), ipc.sysv_shm(1), ipc.posix_shm(1), ipc.posix_sem():
        assert ipc.fork(os.getpid).result(timeout=60)
        assert ipc.spawn(["true"]).wait(timeout=60) == 0
"""
    )
