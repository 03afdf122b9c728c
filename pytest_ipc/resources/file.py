"""A file that a resource creates where its mechanism needs a path: on record, and removed once it is identified.

By default the name is in a private folder with an unpredictable name, which is on record before it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Self

from ..custody.cleanup import finish, is_failure, out_of_sight
from ..custody.kinds.file import Found
from ..custody.ledger import Record, intent
from ..custody.private_folder import (
    HOLD,
    Identity,
    check_folder,
    identity_of,
    remove_folder,
    same_entry,
    same_file,
    temp_folder,
)
from ..kernel.recorded import os
from ..printable import plain

__all__ = ["OwnedFile"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class OwnedFile:
    """A file that this process created, at `path`.

    It holds two O_PATH descriptors. One is of the file, so that its inode number is not reused after the test has
    removed the name. The other is of its folder, so that the name can be removed from another root or mount namespace.
    A test may close both; each is verified before it is used.
    """

    def __init__(self, path: str, word: str, directory: str | None, folder: int, anchor: int, record: Record) -> None:
        self.path = path
        self._word = word
        self._directory = directory
        self._record = record
        self._name = os.path.basename(path)
        self._identity = identity_of(os.fstat(anchor))
        self._folder_identity = identity_of(os.fstat(folder))
        self._held = {folder: self._folder_identity, anchor: self._identity}
        self._folder, self._anchor = folder, anchor

    @classmethod
    def create(
        cls, kind: str, word: str, make: Callable[[str], object], path: str | os.PathLike[str] | None = None
    ) -> Self:
        """Create a file with make(path), which must fail if it exists, at *path* or in its own private folder.

        *kind* is the row of the table in custody/kinds, *word* its name for people. Raises ValueError for an invalid
        path; OSError from *make*, or if the folder for temporary files is not safe.
        """
        directory = None
        if path is None:
            directory = os.path.join(check_folder(temp_folder()), f"pytest-ipc-{os.urandom(8).hex()}")
            place = os.path.join(directory, kind)
        elif not os.fspath(path) or "\0" in os.fsdecode(path):
            raise ValueError(f"{os.fspath(path)!r} cannot be the path of a {word}")
        else:
            # The absolute path: the test may have changed its directory when the file is removed.
            folder_path, name = os.path.split(os.fsdecode(path))
            place = os.path.join(os.path.realpath(folder_path or "."), name)
        record = intent(kind, path=place, directory=directory)
        opened: list[int] = []
        made = False
        try:
            if directory is not None:
                os.mkdir(directory, 0o700)
                # Others may access the file by its mode, but not list the folder.
                os.chmod(directory, 0o711)
            make(place)
            made = True
            opened.append(os.open(os.path.dirname(place), HOLD | os.O_DIRECTORY))
            opened.append(os.open(os.path.basename(place), HOLD, dir_fd=opened[0]))
            folder = {} if directory is None else {"folder": Found.of(opened[0]).identity()}
            record.made(**Found.of(opened[1]).identity(), **folder)
            return cls(place, word, directory, opened[0], opened[1], record)
        except BaseException as error:
            _take_back(place, directory, opened, made)
            if is_failure(error):
                record.closed()
            if isinstance(error, OSError):
                error.add_note(plain(f"while making a {word} at {place}"))
            raise

    @property
    def anchor(self) -> int | None:
        """Return the descriptor of the file itself; None if the test has closed it."""
        return self._anchor if same_file(self._anchor, self._identity) else None

    def descriptors(self) -> list[int]:
        """Return the descriptors of the file and of its folder."""
        return list(self._held)

    def unlink(self) -> bool:
        """Remove the name, if it still refers to this file and not to a replacement by the test.

        Return whether this call removed it. Raises OSError.
        """
        with self._in_folder() as folder, suppress(FileNotFoundError):  # removed by another process
            if same_entry(folder, self._name, self._identity):
                os.unlink(self._name, dir_fd=folder)
                return True
        return False

    def close(self, unlink: Callable[[], object] | None = None) -> None:
        """Remove the file, by *unlink* if that does more, and its folder. Raises OSError; the record stays open."""
        finish(partial(self._remove, unlink or self.unlink), self._let_go)

    def _remove(self, unlink: Callable[[], object]) -> None:
        if not self._record.is_open:
            return
        unlink()
        if self._directory is not None:
            with self._in_folder() as folder:
                remove_folder(folder, self._directory)
        self._record.closed()

    @contextmanager
    def _in_folder(self) -> Iterator[int]:
        """Yield a descriptor of the file's folder. Raises OSError if this process can no longer reach it."""
        if same_file(self._folder, self._folder_identity):
            yield self._folder
            return
        try:
            folder = os.open(os.path.dirname(self.path), HOLD | os.O_DIRECTORY)
        except OSError:
            raise out_of_sight(f"{self._word} {self.path}", "a folder of that name") from None
        try:
            if not same_file(folder, self._folder_identity):
                raise out_of_sight(f"{self._word} {self.path}", "another folder of that name")
            yield folder
        finally:
            os.close(folder)

    def _let_go(self) -> None:
        while self._held:
            fd, identity = self._held.popitem()
            if same_file(fd, identity):
                os.close(fd)


def owned_identity(file: OwnedFile) -> Identity:
    """Return the device and inode number of *file*."""
    return file._identity  # noqa: SLF001 - of this module


def _take_back(place: str, directory: str | None, opened: list[int], made: bool) -> None:
    """Remove the folder of a file whose creation failed, and close its descriptors. Raises OSError."""
    if made:
        os.unlink(place)
    if directory is not None:
        with suppress(FileNotFoundError):  # it was not made
            if not opened:
                opened.append(os.open(directory, HOLD | os.O_DIRECTORY))
            remove_folder(opened[0], directory)
    while opened:
        os.close(opened.pop())
