"""The files of a check besides its report: JUnit XML, CTRF and a summary in Markdown, of one platform or several."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..command_error import CommandError, writing
from ..reports import atomic

if TYPE_CHECKING:
    from ..reports.judged import Judged

__all__ = ["add", "prepare", "write"]

# By option: what it is called in an error, and its help.
_FILES = {
    "junit": ("the JUnit XML", "Also write the verdicts to FILE as JUnit XML; unexpected ones are failures"),
    "ctrf": ("the CTRF report", "Also write the verdicts to FILE in the Common Test Report Format"),
    "markdown": ("the summary", 'Also write a summary to FILE, as for --markdown "$GITHUB_STEP_SUMMARY"'),
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command line."""
    for name, (_, help) in _FILES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=help)


def prepare(options: argparse.Namespace) -> None:
    """Check before the run that every file can be written, and that no two are one. CommandError."""
    wanted = [(f"--{name}", path) for name, path in _wanted(options).items()]
    if options.report is not None:
        wanted.append(("--report", options.report))
    owners: dict[Path, str] = {}
    for option, path in wanted:
        if not path.exists() or atomic.keeps(path):  # a terminal or /dev/null may be named twice
            other = owners.setdefault(path.resolve(), option)
            if other != option:
                raise CommandError(f"{option} and {other} must be two files, not both {path}")
    for name, path in _wanted(options).items():
        with writing(_FILES[name][0], path):
            atomic.check_writable(path)


def write(options: argparse.Namespace, platforms: Sequence[Judged]) -> list[Path]:
    """Write the files and return those that keep what was written. CommandError with the status 3."""
    written = []
    for name, path in _wanted(options).items():
        with writing(_FILES[name][0], path, status=3):
            atomic.write(path, _content(name, platforms))
        if atomic.keeps(path):
            written.append(path)
    return written


def _wanted(options: argparse.Namespace) -> dict[str, Path]:
    return {name: path for name in _FILES if (path := getattr(options, name)) is not None}


def _content(name: str, platforms: Sequence[Judged]) -> str:
    from ..reports import ctrf, junit, markdown

    if name == "junit":
        return junit.as_xml(platforms)
    if name == "ctrf":
        return json.dumps(ctrf.as_json(platforms), indent=1) + "\n"
    return markdown.as_markdown(platforms)
