"""Completion of arguments in a shell, by the package argcomplete if it is installed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from typing import Any

from ..command_error import CommandError
from ..reports.expectations import bundled

__all__ = ["clauses", "complete", "expectations", "offer"]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process, if a shell asks for completions."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:  # the package of another Python has registered the command
        return
    argcomplete.autocomplete(parser)


def offer(action: argparse.Action, completer: Callable[..., Iterable[str]]) -> None:
    """Let the values of an argument be completed by *completer*, a function that argcomplete calls."""
    vars(action)["completer"] = completer


def clauses(prefix: str, **_: Any) -> list[str]:
    """Return the mechanisms, calls, manual pages and clauses that begin with *prefix*."""
    from .. import suite

    try:
        every = suite.clauses(suite.location())
    except CommandError:  # an incomplete installation
        return []
    names = {name for clause in every for name in suite.names(clause)}
    short = sorted(name for name in names if "." not in name)
    return [name for name in (*short, *sorted(names.difference(short))) if name.startswith(prefix)]


def expectations(prefix: str, **_: Any) -> list[str]:
    """Return the bundled expectations and the files that begin with *prefix*."""
    from argcomplete.completers import FilesCompleter

    return [name for name in bundled() if name.startswith(prefix)] + list(FilesCompleter()(prefix))
