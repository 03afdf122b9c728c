"""The file of a ledger, for its writer: it checks the descriptor before each use.

A test or a daemon may close every descriptor and reuse the numbers for its own files. Records must not be written to
those files, nor be lost: a descriptor that is no longer the ledger's is forgotten, not closed, and the file is reopened
by name.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from errno import EEXIST, ENOENT, ENOSPC
from typing import NamedTuple

from ..unpatched import fcntl, os
from .cleanup import failures_ignored
from .private_folder import Identity, identity_of, same_file
from .state_dir import StateDirError, as_owner, open_state_dir, state_dir_path

__all__ = ["LedgerFile"]

# The lowest number for the descriptor, if the limit allows: tests close or count lower ones.
HIGH = 512
MOST = 1000  # ledgers of one process: each execve(2) starts another

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = _FLAGS | os.O_CREAT | os.O_EXCL
_UNNAMED = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_TMPFILE


class _Open(NamedTuple):
    fd: int
    identity: Identity


class LedgerFile:
    """A new file in the state directory, by the name *stem*.ledger or, where that is in use, *stem*-N.ledger.

    With *hidden*, it has a name only after publish(). `size` is in bytes; the ledger increments `changes` whenever an
    open record changes. Raises OSError, with *hidden* also if the file system does not support O_TMPFILE.
    """

    def __init__(self, stem: str, *, hidden: bool = False) -> None:
        self.size: int = 0
        self.changes = 0
        self._stem = stem
        self._place = state_dir_path()
        self.name: str = f"{stem}.ledger"
        try:
            with as_owner():
                if hidden:
                    self._open = self._unnamed()
                else:
                    self._place, self.name, self._open = self._made(_NEW)
        except OSError as error:
            raise self._failure(error, "no ledger can be created") from None
        self._point_of_view = _point_of_view()

    def _made(self, flags: int) -> tuple[str, str, _Open]:
        """Create a file under the first unused name. Return its directory, name and descriptor. Raises OSError."""
        state_dir = open_state_dir(create=True)
        assert state_dir is not None
        try:
            for number in range(MOST):
                name = f"{self._stem}-{number}.ledger" if number else f"{self._stem}.ledger"
                with suppress(FileExistsError):  # the next number may be free
                    return state_dir_path(), name, _opened(name, flags, state_dir)
            raise FileExistsError(EEXIST, f"{MOST} of them exist already")
        finally:
            os.close(state_dir)

    def _unnamed(self) -> _Open:
        state_dir = open_state_dir(create=True)
        assert state_dir is not None
        try:
            self._place = state_dir_path()
            return _opened(".", _UNNAMED, state_dir)
        finally:
            os.close(state_dir)

    def publish(self) -> None:
        """Give a hidden file its name. Raises OSError, also if the directory is gone."""
        with as_owner():
            state_dir = open_state_dir(create=False, path=self._place)
            if state_dir is None:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT), self._place)
            try:
                for number in range(MOST):
                    self.name = f"{self._stem}-{number}.ledger" if number else f"{self._stem}.ledger"
                    if not same_file(*self._open):
                        raise FileNotFoundError(ENOENT, "its descriptor now refers to another file")
                    with suppress(FileExistsError):  # the next number may be free
                        os.link(f"/proc/self/fd/{self._open.fd}", self.name, dst_dir_fd=state_dir, follow_symlinks=True)
                        return
                raise FileExistsError(EEXIST, f"{MOST} of them exist already")
            finally:
                os.close(state_dir)

    def append(self, line: bytes) -> None:
        """Append *line*, whole or not at all.

        Raises StateDirError, or FileNotFoundError if descriptor and file are both gone.
        """
        try:
            done = None
            while done is None:
                found = self._open
                fd, (dev, ino) = found
                try:
                    status = os.fstat(fd)
                except OSError as error:
                    if error.errno is None:  # a signal's handler raised it
                        raise
                    self.descriptor()
                    continue
                if status.st_ino != ino or status.st_dev != dev:
                    self.descriptor()
                elif self._open is found:  # no signal handler has replaced it, or can before the call
                    done = os.write(fd, line)
            self.size += done
            if done < len(line):  # the disk is full: a partial line must not merge with the next
                self.size -= done
                os.ftruncate(fd, os.fstat(fd).st_size - done)
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._failure(error, "the ledger cannot be written") from None

    def descriptor(self) -> int:
        """Return the descriptor, reopened if it is no longer the file's. Raises OSError if that fails."""
        if not same_file(*self._open):
            again = self._opened_again()
            self._open = again
        return self._open.fd

    def _opened_again(self) -> _Open:
        with as_owner():
            state_dir = open_state_dir(create=False, path=self._place)
            if state_dir is None:
                raise FileNotFoundError(ENOENT, os.strerror(ENOENT))
            try:
                again = _opened(self.name, _FLAGS, state_dir)
            finally:
                os.close(state_dir)
        if again.identity != self._open.identity:
            _close(again)
            raise FileNotFoundError(ENOENT, "another file has taken its name")
        return again

    def is_in_place(self) -> bool:
        """Return whether the file has its name; True if this process has lost sight of it (chroot, mount namespace)."""
        found = self._open
        with failures_ignored:  # what cannot be seen counts as in place
            try:
                if identity_of(os.lstat(os.path.join(self._place, self.name))) == found.identity:
                    return True
            except (FileNotFoundError, NotADirectoryError):  # the name is gone: by whom, the next lines find out
                pass
            # A signal handler may have replaced it meanwhile.
            return self._open is not found or _point_of_view() != self._point_of_view
        return True

    def replace(self, text: bytes, changes: int, *, create: bool) -> bool:
        """Replace the file atomically by one with *text*, unless `changes` differs from *changes*.

        Return whether it was replaced. With *create*, a missing directory is created, if necessary at the next
        candidate path. Raises StateDirError.
        """
        try:
            with as_owner():
                state_dir = self._home(create=create)
                if state_dir is None:
                    return False
                try:
                    return self._replaced(state_dir, text, changes)
                finally:
                    os.close(state_dir)
        except OSError as error:
            raise self._failure(error, "the ledger cannot be rewritten") from None

    def _home(self, *, create: bool) -> int | None:
        """Open the directory of the file; with *create*, of a new file if its parent directory is gone."""
        try:
            return open_state_dir(create=create, path=self._place)
        except StateDirError as error:
            if not create or error.errno != ENOENT:
                raise
        # The name may be in use there, by this process before an execve(2).
        place, name, unused = self._made(_NEW)
        _close(unused)
        self._place, self.name = place, name
        return open_state_dir(create=False, path=place)

    def _replaced(self, state_dir: int, text: bytes, changes: int) -> bool:
        temporary, name = f".{self.name}", self.name
        unused: _Open | None = None
        try:
            with suppress(FileNotFoundError):  # none remained of an earlier attempt
                os.unlink(temporary, dir_fd=state_dir)
            unused = _opened(temporary, _NEW, state_dir)
            if os.write(unused.fd, text) != len(text):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            if self.changes != changes:
                with suppress(FileNotFoundError):  # a signal handler has replaced the file
                    os.unlink(temporary, dir_fd=state_dir)
                return False
            # Swap before rename(2), so that a signal handler after it writes to the new file. No Python code may run
            # between the comparison above and the swap.
            self._open, unused = unused, self._open
            try:
                os.rename(temporary, name, src_dir_fd=state_dir, dst_dir_fd=state_dir)
            except OSError:
                self._open, unused = unused, self._open
                raise
            self.size = len(text)
            return True
        except OSError:
            with suppress(OSError):  # the first error is raised; the next sweep removes the file
                os.unlink(temporary, dir_fd=state_dir)
            raise
        finally:
            if unused is not None:
                _close(unused)

    def close(self, *, remove: bool) -> None:
        """Close the descriptor; with *remove*, remove the file if possible."""
        found, self._open = self._open, _Open(-1, (0, 0))
        _close(found)
        if not remove:
            return
        # The file may be gone, or this process may have become another user; then the next sweep removes it.
        with suppress(OSError), as_owner():
            state_dir = open_state_dir(create=False, path=self._place)
            if state_dir is not None:
                try:
                    if identity_of(os.stat(self.name, dir_fd=state_dir, follow_symlinks=False)) == found.identity:
                        os.unlink(self.name, dir_fd=state_dir)
                finally:
                    os.close(state_dir)

    def _failure(self, error: OSError, what: str) -> OSError:
        # Without an errno, it comes from a signal handler.
        if isinstance(error, StateDirError) or error.errno is None:
            return error
        reason = f"{what} ({error.strerror}), so no object is created without a record"
        return StateDirError(error.errno, reason, os.path.join(self._place, self.name))


def _opened(name: str, flags: int, state_dir: int) -> _Open:
    fd = os.open(name, flags, 0o600, dir_fd=state_dir)
    try:
        status = os.fstat(fd)
        if stat.S_IMODE(status.st_mode) != 0o600 and flags in (_NEW, _UNNAMED):
            os.fchmod(fd, 0o600)  # the umask has cleared bits
        with suppress(OSError):
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
            os.close(fd)
            fd = high
    except BaseException:
        os.close(fd)
        raise
    return _Open(fd, identity_of(status))


def _point_of_view() -> object:
    """Return the root directory and mount namespace, which determine what a path refers to."""
    try:
        return identity_of(os.stat("/")), os.readlink("/proc/self/ns/mnt")
    except FileNotFoundError:  # no /proc, or none in this root
        return identity_of(os.stat("/")), ""


def _close(found: _Open) -> None:
    if same_file(*found):
        os.close(found.fd)
