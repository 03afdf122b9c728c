"""Write the files that a command line names: reports, pages, badges, expectations, bundles.

A regular file is replaced atomically by a temporary file in the same directory: if the command dies, the old content
remains. Symbolic links are followed; mode and owner are kept. Other files, such as /dev/null, a FIFO or /dev/stdout,
are written to and never replaced. The wait for a reader that does not open or does not read is bounded.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import select
import stat
import sys
from contextlib import suppress
from fcntl import F_GETFL, fcntl
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

__all__ = ["address", "check_writable", "keeps", "own_descriptor", "write"]

# Seconds without a reader, or with a reader that does not read, before writing to a FIFO or a terminal fails.
PATIENCE = 10.0

# The errors of a failed replacement: no file can be created or renamed in the directory (read-only directory or file
# system, sticky bit, mount point), or the new file cannot get the owner of the old one. Then the file itself is written
# to.
_NOT_REPLACEABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EINVAL}

_CHUNK = 1 << 16


def check_writable(path: Path) -> None:
    """Raise the OSError of a later write(), as far as it can be known before a long run."""
    fd = own_descriptor(path)
    if fd is not None:
        if fcntl(fd, F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, f"descriptor {fd} is not open for writing", str(path))
        return
    status = _status(path)
    if status is None:
        handle, name = _temporary(path)
        os.close(handle)
        os.unlink(name)
    elif stat.S_ISREG(status.st_mode):
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    elif not os.access(path, os.W_OK):  # opening a FIFO could have an effect: its reader would see end of file
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def keeps(path: Path) -> bool:
    """Return whether *path* leads to a regular file, which keeps what a command wrote before."""
    return path.is_file() and own_descriptor(path) is None


def write(path: Path, content: str | bytes, *, executable: bool = False) -> None:
    """Write *content* to *path*, text as UTF-8; *executable* adds the x bits for those that may read. OSError."""
    # A lone surrogate, possible in messages of the system, cannot be encoded in UTF-8.
    data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    fd = own_descriptor(path)
    if fd is not None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with open(os.dup(fd), "wb", buffering=0) as file:
            _write_all(file.fileno(), data)
        return
    status = _status(path)
    if status is None:
        _replace(path, data, None, executable)
    elif not stat.S_ISREG(status.st_mode):
        _write_in_place(path, data, status)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))  # a read-only file is not replaced
        try:
            _replace(path, data, status, executable)
        except OSError as error:
            if error.errno not in _NOT_REPLACEABLE:
                raise
            _write_in_place(path, data, status)


def address(page: Path, source: Path) -> str:
    """Return the address of the file *page* in a link of the page *source*."""
    return quote(os.path.relpath(page, os.path.dirname(os.path.abspath(source))))


def own_descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that *path* names, as /dev/stdout and /dev/fd/3 do; None for other paths.

    It is read and written by its number: opened by its name, a file would be overwritten from its start, and a socket
    cannot be opened.
    """
    own = os.path.realpath("/proc/self")
    pattern = re.compile(rf"(?:/proc/self|/proc/thread-self|{re.escape(own)})(?:/task/\d+)?/fd/(\d+)")
    place = os.fspath(path)
    for _ in range(40):  # the kernel's limit of links
        place = os.path.join(os.path.realpath(os.path.dirname(place) or "."), os.path.basename(place))
        if found := pattern.fullmatch(place):
            return int(found[1])
        try:
            place = os.path.join(os.path.dirname(place), os.readlink(place))
        except OSError:
            return None
    return None


def _status(path: Path) -> os.stat_result | None:
    """Return the status of the file that *path* leads to, None if it does not exist.

    OSError if it cannot be written to.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
    if kind in (stat.S_IFBLK, stat.S_IFSOCK):
        raise OSError(errno.EINVAL, f"is a {'block device' if kind == stat.S_IFBLK else 'socket'}", str(path))
    return status


def _temporary(path: Path) -> tuple[int, str]:
    """Create a file beside the one that *path* leads to; return its descriptor and its name."""
    folder = os.path.dirname(os.path.realpath(path))
    name = os.path.join(folder, f".pytest-ipc-{secrets.token_hex(8)}")
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), name


def _replace(path: Path, data: bytes, before: os.stat_result | None, executable: bool) -> None:
    """Write a new file and rename it to the one that *path* leads to; *before* is the status of the old one."""
    handle, name = _temporary(path)
    try:
        try:
            made = os.fstat(handle)
            if before is not None and (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
                os.fchown(handle, before.st_uid, before.st_gid)
            mode = (made if before is None else before).st_mode & 0o777
            os.fchmod(handle, mode | (mode & 0o444) >> 2 if executable else mode)
            _write_all(handle, data)
        finally:
            os.close(handle)
        os.replace(name, os.path.realpath(path))
    except BaseException:
        with suppress(FileNotFoundError):  # it was renamed, or never made
            os.unlink(name)
        raise


def _write_in_place(path: Path, data: bytes, before: os.stat_result) -> None:
    """Write to the existing file."""
    handle = _open_for_writing(path)
    try:
        if stat.S_IFMT(os.fstat(handle).st_mode) != stat.S_IFMT(before.st_mode):
            raise OSError(errno.EAGAIN, "changed its type", str(path))
        _write_all(handle, data)
        if stat.S_ISREG(before.st_mode):
            os.ftruncate(handle, len(data))
    finally:
        os.close(handle)


def _open_for_writing(path: Path) -> int:
    """Open the file; for a FIFO, wait up to PATIENCE seconds for a reader."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if monotonic() > deadline:
                text = f"is a FIFO that no process opened for reading within {PATIENCE:g} seconds"
                raise OSError(errno.ENXIO, text, str(path)) from None
        sleep(0.02)


def _write_all(handle: int, data: bytes) -> None:
    """Write all of *data*; fail if a non-blocking descriptor takes nothing for PATIENCE seconds."""
    blocks = os.get_blocking(handle)
    ready = select.poll()
    ready.register(handle, select.POLLOUT)
    left = memoryview(data)
    while left:
        if not blocks and not ready.poll(PATIENCE * 1000):
            raise OSError(errno.EAGAIN, f"nothing was read from it for {PATIENCE:g} seconds")
        with suppress(BlockingIOError):  # another process has filled it since
            left = left[os.write(handle, left[:_CHUNK]) :]
