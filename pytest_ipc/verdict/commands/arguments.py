"""The types of arguments that several commands have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..command_error import CommandError
from ..reports import atomic

if TYPE_CHECKING:
    from ..runner.remote import Platform

__all__ = ["check_names", "number", "platform", "platform_name", "prepare_folder", "seconds"]


def platform_name(text: str) -> str:
    """Return the name of a platform, for people. ArgumentTypeError."""
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise argparse.ArgumentTypeError(
            f"the name of a platform must have 1 to 100 printable characters, not {text!r}"
        )
    return text.strip()


def platform(text: str) -> Platform:
    """Return the platform of NAME=COMMAND. ArgumentTypeError."""
    import shlex

    from ..runner.remote import Platform

    name, separator, command = text.partition("=")
    if not separator or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise argparse.ArgumentTypeError(f"a platform must look like box='ssh box python3', not {text!r}")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the command of {name} cannot be split into words: {error}") from None
    if not words or "\0" in command:
        raise argparse.ArgumentTypeError(f"{text!r} has no command that starts a Python")
    return Platform(name, words)


def check_names(platforms: Sequence[Platform], name: str | None) -> None:
    """Check that no two *platforms* have the same name, and that there is no *name* for this one. CommandError."""
    names = [platform.name for platform in platforms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CommandError(f"two platforms have the name {twice[0]}")
    if name is not None:
        raise CommandError("--name cannot be used with --platform, which names each platform")


def prepare_folder(option: str, folder: Path, platforms: Sequence[Platform]) -> None:
    """Create the directory that *option* names, for a NAME.json of each platform, or check it. CommandError."""
    try:
        folder.mkdir(exist_ok=True)
        for platform in platforms:
            atomic.check_writable(folder / f"{platform.name}.json")
    except FileExistsError:
        raise CommandError(f"{option} with --platform must be a directory, not {folder}") from None
    except OSError as error:
        raise CommandError(f"the reports cannot be written to the directory {folder}: {error.strerror}") from error


def seconds(text: str) -> float:
    """Return a positive number of seconds. ArgumentTypeError."""
    with suppress(ValueError):  # the error below
        if 0 < (found := float(text)) < float("inf"):
            return found
    raise argparse.ArgumentTypeError(f"the number of seconds must be a positive number, not {text!r}")


def number(text: str) -> int:
    """Return a positive number of platforms. ArgumentTypeError."""
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise argparse.ArgumentTypeError(f"the number of platforms must be a positive number, not {text!r}")
    return int(text)
