"""mkfifoat(3): resolution of relative paths."""

from __future__ import annotations

import os
import stat
from errno import EBADF, ENOTDIR

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import mkfifoat

AT_FDCWD = -100


@clause("mkfifoat.dirfd-rules", "mkfifo(3)", "mkfifoat()")
def test_relative_path_is_resolved_from_dirfd(tmp_path, fork):
    """mkfifoat() resolves a relative path from the directory that dirfd refers to, not from the working directory."""
    (tmp_path / "there").mkdir()

    def make() -> None:
        os.umask(0o022)
        os.chdir(tmp_path)
        mkfifoat(os.open("there", os.O_RDONLY | os.O_DIRECTORY), "fifo", 0o666)

    fork(make).result()
    assert oct(os.lstat(tmp_path / "there/fifo").st_mode) == oct(stat.S_IFIFO | 0o644)
    assert os.listdir(tmp_path) == ["there"]


@clause("mkfifoat.at-fdcwd-is-cwd", "mkfifo(3)", "mkfifoat()")
def test_at_fdcwd_means_the_working_directory(tmp_path, fork):
    """mkfifoat() with AT_FDCWD resolves a relative path from the working directory."""

    def make() -> None:
        os.chdir(tmp_path)
        mkfifoat(AT_FDCWD, "fifo")

    fork(make).result()
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)


@clause("mkfifoat.absolute-ignores-dirfd", "mkfifo(3)", "mkfifoat()")
def test_absolute_path_ignores_dirfd(tmp_path):
    """mkfifoat() with an absolute path ignores dirfd, even an invalid one."""
    mkfifoat(-1, tmp_path / "fifo")
    assert stat.S_ISFIFO(os.lstat(tmp_path / "fifo").st_mode)


@clause("mkfifoat.relative-bad-dirfd-ebadf", "mkfifo(3)", "ERRORS", errno=EBADF)
def test_relative_path_with_invalid_dirfd_fails(tmp_path, fork):
    """mkfifoat() with a relative path fails with EBADF if dirfd is
    not open, and creates nothing in the working directory.
    """

    def make() -> None:
        os.chdir(tmp_path)
        with fails_with(EBADF):
            mkfifoat(-1, "fifo")

    fork(make).result()
    assert os.listdir(tmp_path) == []


@clause("mkfifoat.relative-file-dirfd-enotdir", "mkfifo(3)", "ERRORS", errno=ENOTDIR)
def test_relative_path_with_dirfd_of_a_file_fails(tmp_path, fork):
    """mkfifoat() with a relative path fails with ENOTDIR if dirfd refers to a regular file, and creates nothing."""
    (tmp_path / "file").touch()

    def make() -> None:
        os.chdir(tmp_path)
        with fails_with(ENOTDIR):
            mkfifoat(os.open("file", os.O_RDONLY), "fifo")

    fork(make).result()
    assert os.listdir(tmp_path) == ["file"]
