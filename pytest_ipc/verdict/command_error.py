"""The error of the command line: one sentence for the user, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

__all__ = ["CommandError", "did_you_mean", "writing"]


class CommandError(Exception):
    """The reason why a command cannot go on, as a sentence; `status` is its exit status.

    pytest-ipc prints the sentence. Invalid arguments and files have status 2.
    """

    def __init__(self, sentence: str, status: int = 2) -> None:
        super().__init__(sentence)
        self.status = status


@contextmanager
def writing(what: str, path: Path, status: int = 2) -> Iterator[None]:
    """Raise an OSError of the block as the CommandError that *what* cannot be written to *path*."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{what} cannot be written to {path}: {error.strerror}", status) from error


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return "; did you mean a or b?" with the *names* most like *name*, or "" if none is like it."""
    close = get_close_matches(name, list(names), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
