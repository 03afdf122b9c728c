"""A file that a resource makes, wherever the mechanism needs a name in the file system: on record, and removed with its proof.

The name is by default in a private directory that nobody can have guessed, on record before it is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Self

from ..custody.home import temp_folder
from ..custody.ledger import Record, intent
from ..unpatched import os

__all__ = ["OwnedFile"]


class OwnedFile:
    """A file that this process made: `path`, and `anchor`, a descriptor with O_PATH that stands for the file itself.

    The anchor keeps the file's number from being given to another one once the test has removed the name.
    """

    def __init__(self, path: str, directory: str | None, anchor: int, record: Record) -> None:
        self.path = path
        self.anchor = anchor
        self._directory = directory
        self._record = record

    @classmethod
    def create(
        cls, kind: str, word: str, make: Callable[[str], object], path: str | os.PathLike[str] | None = None
    ) -> Self:
        """Make a file with make(path), which must fail where there is one; at *path*, or in a private directory of its own.

        *kind* is the row of the table in custody/kinds, *word* what people call it. ValueError for a path that no file can
        have; OSError from *make*.
        """
        directory = None
        if path is None:
            directory = os.path.join(os.path.realpath(temp_folder()), f"pytest-ipc-{os.urandom(8).hex()}")
            place = os.path.join(directory, kind)
        elif not os.fspath(path) or "\0" in os.fsdecode(path):
            raise ValueError(f"{os.fspath(path)!r} cannot be the path of a {word}")
        else:
            # Where it really is: the test may be in another directory by the time it is removed.
            folder, name = os.path.split(os.fsdecode(path))
            place = os.path.join(os.path.realpath(folder or "."), name)
        made = False
        with intent(kind, path=place, directory=directory) as record:
            try:
                if directory is not None:
                    os.mkdir(directory, 0o700)
                    # Others may reach the file, whose mode says what they may do with it; not list it.
                    os.chmod(directory, 0o711)
                make(place)
                made = True
                anchor = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            except BaseException as error:
                if directory is not None:
                    shutil.rmtree(directory, ignore_errors=True)
                elif made:
                    os.unlink(place)
                if isinstance(error, OSError):
                    error.add_note(f"while making a {word} at {place}")
                raise
            status = os.fstat(anchor)
            record.made(dev=status.st_dev, ino=status.st_ino)
        return cls(place, directory, anchor, record)

    def unlink(self) -> None:
        """Remove the name, if it still stands for this file and not for one that the test has put in its place."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(self.path), os.fstat(self.anchor)):
                os.unlink(self.path)

    def close(self, unlink: Callable[[], None] | None = None) -> None:
        """Remove the file, by *unlink* where more belongs to it than that, and its directory; the record is closed last."""
        with ExitStack() as steps:  # from the last to the first, each whatever became of the others
            steps.callback(self._record.closed)
            if self._directory is not None:
                steps.callback(shutil.rmtree, self._directory, ignore_errors=True)
            steps.callback(os.close, self.anchor)
            steps.callback(unlink or self.unlink)
