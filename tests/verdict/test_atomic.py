"""Files named on a command line: a regular file is replaced at once, and keeps its mode and owner."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_ipc import Child
from pytest_ipc.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unshare
from pytest_ipc.verdict.reports import atomic

from .files import written

OTHER = 61003  # a user id that no account needs to have


def as_root() -> None:
    if os.geteuid():
        pytest.skip("needs root")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("executable", "mode"), [(False, 0o640), (True, 0o750)])
def test_new_file_has_the_mode_of_the_umask(tmp_path, executable, mode):
    written(tmp_path / "new", "text", executable=executable)
    assert ((tmp_path / "new").read_text(), mode_of(tmp_path / "new")) == ("text", mode)
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize(("executable", "mode"), [(False, 0o640), (True, 0o750)])
def test_regular_file_is_replaced_and_keeps_its_mode(tmp_path, executable, mode):
    path = tmp_path / "file"
    path.write_text("a longer text")
    path.chmod(0o640)
    old = path.stat().st_ino
    with open(path) as reader:
        written(path, "text", executable=executable)
        assert reader.read() == "a longer text"
    assert (path.read_text(), mode_of(path)) == ("text", mode)
    assert path.stat().st_ino != old
    assert os.listdir(tmp_path) == ["file"]


def test_regular_file_keeps_its_owner(tmp_path):
    as_root()
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, OTHER, OTHER)
    written(path, "text")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("text", OTHER, OTHER)


def as_other(function: Callable[..., object], *args: object) -> object:
    """Call a function as another user and return its result."""

    def life() -> object:
        os.setgroups([])
        os.setgid(OTHER)
        os.setuid(OTHER)
        return function(*args)

    with Child.start(life) as child:
        return child.result()


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Return a directory in which other users may create files, but not replace those of others."""
    as_root()
    for folder in tmp_path.parents:
        if folder != folder.parent and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o1777)
    return tmp_path


def test_file_whose_owner_cannot_be_set_is_written_in_place(others):
    path = others / "file"
    path.write_text("a longer text")
    path.chmod(0o666)
    others.chmod(0o777)
    old = path.stat().st_ino
    as_other(written, path, "text")
    assert (path.read_text(), path.stat().st_uid, path.stat().st_ino) == ("text", os.getuid(), old)


@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_file_in_a_read_only_directory_is_written_in_place(others, mode):
    path = others / "file"
    path.write_text("a longer text")
    path.chmod(0o666)
    others.chmod(mode)
    as_other(written, path, "text")
    assert path.read_text() == "text"
    assert os.listdir(others) == ["file"]


def test_read_only_file_is_not_replaced(others):
    path = others / "file"
    path.write_text("old")
    path.chmod(0o444)
    os.chown(path, OTHER, OTHER)
    for call in (atomic.check_writable, lambda path: atomic.write(path, "text")):
        with pytest.raises(PermissionError):
            as_other(call, path)
    assert path.read_text() == "old"


def test_mount_point_is_written_in_place(tmp_path):
    path, outside = tmp_path / "file", tmp_path / "outside"
    for file in (path, outside):
        file.write_text("old")

    def life() -> None:
        unshare(CLONE_NEWNS)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        mount(str(outside), path, None, 0x1000)  # MS_BIND
        written(path, "text")

    with Child.start(life) as child:
        try:
            child.result()
        except PermissionError:
            pytest.skip("needs a mount namespace")
    assert (path.read_text(), outside.read_text()) == ("old", "text")


@pytest.mark.parametrize("dangling", [False, True])
def test_symbolic_link_is_kept_and_its_target_is_written(tmp_path, dangling):
    (tmp_path / "folder").mkdir()
    target, link, second = tmp_path / "folder/target", tmp_path / "link", tmp_path / "second"
    link.symlink_to("folder/target")
    second.symlink_to("link")
    if not dangling:
        target.write_text("old")
    written(second, "text")
    assert (os.readlink(second), os.readlink(link), target.read_text()) == ("link", "folder/target", "text")
    assert os.listdir(target.parent) == ["target"]


def test_symbolic_link_loop_is_an_error(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for call in (atomic.check_writable, lambda path: atomic.write(path, "text")):
        with pytest.raises(OSError, match=r"(?i)symbolic link"):
            call(tmp_path / "loop")


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write(path, "text")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_file_name_of_the_maximum_length(tmp_path):
    written(tmp_path / ("n" * 255), "text")
    assert (tmp_path / ("n" * 255)).read_text() == "text"
