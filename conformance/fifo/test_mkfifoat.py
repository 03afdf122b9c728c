"""mkfifoat(3): where a relative path begins."""

from __future__ import annotations

import os
import stat
from errno import EBADF, ENOTDIR

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import mkfifoat

AT_FDCWD = -100


@clause("mkfifoat.dirfd-rules", "mkfifo(3)", "mkfifoat()")
def test_a_relative_path_begins_at_the_directory(tmp_path, fork):
    """A relative path begins at the directory that the descriptor refers to, and not at the working directory."""
    (tmp_path / "there").mkdir()

    def make() -> None:
        os.umask(0o022)
        os.chdir(tmp_path)
        mkfifoat(os.open("there", os.O_RDONLY | os.O_DIRECTORY), "fifo", 0o666)

    fork(make).result()
    assert oct(os.lstat(tmp_path / "there/fifo").st_mode) == oct(stat.S_IFIFO | 0o644)
    assert os.listdir(tmp_path) == ["there"]


@clause("mkfifoat.at-fdcwd-is-cwd", "mkfifo(3)", "mkfifoat()")
def test_at_fdcwd_stands_for_the_working_directory(tmp_path, fork):
    """With AT_FDCWD a relative path begins at the working directory."""

    def make() -> None:
        os.chdir(tmp_path)
        mkfifoat(AT_FDCWD, "fifo")

    fork(make).result()
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)


@clause("mkfifoat.absolute-ignores-dirfd", "mkfifo(3)", "mkfifoat()")
def test_an_absolute_path_ignores_the_descriptor(tmp_path):
    """With an absolute path the descriptor does not matter, not even one that is not open."""
    mkfifoat(-1, tmp_path / "fifo")
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)


@clause("mkfifoat.relative-bad-dirfd-ebadf", "mkfifo(3)", "ERRORS", errno=EBADF)
def test_a_relative_path_needs_an_open_descriptor(tmp_path, fork):
    """A relative path with a descriptor that is not open fails and makes nothing in the working directory."""

    def make() -> None:
        os.chdir(tmp_path)
        with fails_with(EBADF):
            mkfifoat(-1, "fifo")

    fork(make).result()
    assert os.listdir(tmp_path) == []


@clause("mkfifoat.relative-file-dirfd-enotdir", "mkfifo(3)", "ERRORS", errno=ENOTDIR)
def test_a_relative_path_needs_a_directory(tmp_path, fork):
    """A relative path with the descriptor of something that is no directory fails and makes nothing."""
    (tmp_path / "file").touch()

    def make() -> None:
        os.chdir(tmp_path)
        with fails_with(ENOTDIR):
            mkfifoat(os.open("file", os.O_RDONLY), "fifo")

    fork(make).result()
    assert os.listdir(tmp_path) == ["file"]
