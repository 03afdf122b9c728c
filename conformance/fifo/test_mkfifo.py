"""mkfifo(3): creating a FIFO, its mode, and errors."""

from __future__ import annotations

import os
import stat
from errno import EACCES, EEXIST, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import MS_RDONLY, capabilities, mkfifo

from ..credentials import GROUP, STRANGER, become, mount_tmpfs


@clause("mkfifo.creates", "mkfifo(3)", "DESCRIPTION")
def test_mkfifo_creates_a_fifo_with_mode(tmp_path, fork):
    """mkfifo() creates an empty FIFO special file with the given path and permissions."""

    def make() -> None:
        os.umask(0)
        for mode in (0o600, 0o644, 0o777, 0):
            mkfifo(tmp_path / oct(mode), mode)

    fork(make).result()
    for mode in (0o600, 0o644, 0o777, 0):
        status = os.lstat(tmp_path / oct(mode))
        assert oct(status.st_mode) == oct(stat.S_IFIFO | mode)
        assert status.st_size == 0


@clause("mkfifo.umask", "mkfifo(3)", "DESCRIPTION")
def test_umask_clears_permissions(tmp_path, fork):
    """mkfifo() clears the bits of the umask from the permissions of the new FIFO."""

    def make() -> None:
        for umask in (0o022, 0o137, 0o777):
            os.umask(umask)
            mkfifo(tmp_path / oct(umask), 0o766)

    fork(make).result()
    modes = {umask: stat.S_IMODE(os.lstat(tmp_path / oct(umask)).st_mode) for umask in (0o022, 0o137, 0o777)}
    assert modes == {0o022: 0o744, 0o137: 0o640, 0o777: 0}


@clause("mkfifo.no-cap-needed", "mknod(2)", "ERRORS")
def test_mkfifo_needs_no_capability(common, fork):
    """mkfifo() succeeds without any capability in a directory that the process can write to."""

    def make() -> None:
        os.chdir(common)
        if capabilities() != 0:
            become(STRANGER, GROUP)
        mkfifo("fifo", 0o600)

    fork(make).result()
    assert stat.S_ISFIFO(os.lstat(common / "fifo").st_mode)


@pytest.mark.parametrize("kind", ["fifo", "file", "directory", "link", "dangling-link"])
@clause("mkfifo.eexist-even-dangling-symlink", "mkfifo(3)", "ERRORS", errno=EEXIST)
def test_existing_path_fails(tmp_path, kind):
    """mkfifo() fails with EEXIST if the path exists, also as a
    dangling symbolic link, and does not change the existing file.
    """
    path, target = tmp_path / kind, tmp_path / "target"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "file":
            path.touch()
        case "directory":
            path.mkdir()
        case "link":
            target.touch()
            path.symlink_to(target)
        case "dangling-link":
            path.symlink_to(target)
    before = os.lstat(path), sorted(os.listdir(tmp_path))
    with fails_with(EEXIST):
        mkfifo(path)
    assert (os.lstat(path), sorted(os.listdir(tmp_path))) == before


@pytest.mark.parametrize(
    ("name", "errno"),
    [
        pytest.param("missing/fifo", ENOENT, id="missing-directory-enoent"),
        pytest.param("dangling/fifo", ENOENT, id="dangling-directory-enoent"),
        pytest.param("", ENOENT, id="empty-path-enoent"),
        pytest.param("file/fifo", ENOTDIR, id="file-as-directory-enotdir"),
        pytest.param("loop/fifo", ELOOP, id="link-to-itself-eloop"),
    ],
)
@clause("mkfifo.path-errors", "mkfifo(3)", "ERRORS")
def test_invalid_directory_in_path_fails(tmp_path, name, errno):
    """mkfifo() fails if a directory of the path is missing, a dangling
    link, a regular file or a loop of links, and creates nothing.
    """
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with fails_with(errno):
        mkfifo(name and tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file", "loop"]


@clause("mkfifo.enametoolong-component", "mkfifo(3)", "ERRORS", errno=ENAMETOOLONG)
def test_name_longer_than_name_max_fails(tmp_path):
    """mkfifo() succeeds with a file name of NAME_MAX bytes and fails with ENAMETOOLONG for one byte more."""
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    mkfifo(tmp_path / ("x" * longest))
    with fails_with(ENAMETOOLONG):
        mkfifo(tmp_path / ("y" * (longest + 1)))
    assert os.listdir(tmp_path) == ["x" * longest]


@clause("mkfifo.enametoolong-path", "mkfifo(3)", "ERRORS", errno=ENAMETOOLONG)
def test_path_longer_than_path_max_fails(tmp_path):
    """mkfifo() succeeds with a path of PATH_MAX bytes including the
    null byte and fails with ENAMETOOLONG for one byte more.
    """
    longest = os.pathconf(tmp_path, "PC_PATH_MAX") - 1
    name = os.fspath(tmp_path) + "/"
    mkfifo(name + "/" * (longest - len(os.fsencode(name)) - 1) + "x")
    with fails_with(ENAMETOOLONG):
        mkfifo(name + "/" * (longest - len(os.fsencode(name))) + "y")
    assert os.listdir(tmp_path) == ["x"]


@clause("mkfifo.eacces-no-search", "mkfifo(3)", "ERRORS", errno=EACCES)
def test_search_permission_is_required(common, fork):
    """mkfifo() fails with EACCES without search permission on a directory
    of the path and succeeds with search and write permission.
    """
    (common / "closed").mkdir()
    (common / "open").mkdir()
    (common / "closed").chmod(0o666)
    (common / "open").chmod(0o777)

    def make() -> None:
        os.chdir(common)
        if capabilities() != 0:
            become(STRANGER, GROUP)
        with fails_with(EACCES):
            mkfifo("closed/fifo")
        mkfifo("open/fifo")

    fork(make).result()
    (common / "closed").chmod(0o700)
    assert (os.listdir(common / "closed"), os.listdir(common / "open")) == ([], ["fifo"])


@clause("mkfifo.erofs", "mkfifo(3)", "ERRORS", errno=EROFS)
def test_read_only_filesystem_fails(tmp_path, fork):
    """mkfifo() fails with EROFS on a filesystem mounted read-only."""

    def make() -> None:
        mount_tmpfs(tmp_path, MS_RDONLY)
        with fails_with(EROFS):
            mkfifo(tmp_path / "fifo")

    fork(make).result()
    assert os.listdir(tmp_path) == []
