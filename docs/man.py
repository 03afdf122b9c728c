"""Write docs/pytest-ipc.1, the manual page of the command, from its parser.

    python docs/man.py [--check]

The wheel installs it as share/man/man1/pytest-ipc.1. With --check nothing is written; the exit status is 1 if the page
is not up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_ipc import __version__
from pytest_ipc.cli import new_parser

PAGE = Path(__file__).with_name("pytest-ipc.1")

FILES = """\
.SH FILES
.TP
.I $XDG_RUNTIME_DIR/pytest\\-ipc
The state directory: a ledger for each process that owns objects. Without the variable it is below the temporary
directory.
.SH ENVIRONMENT
.TP
.B PYTEST_IPC_WHOLE_MACHINE
If set, also clauses that change a limit of the whole machine are checked.
.SH SEE ALSO
.BR pytest (1),
.BR ipcs (1),
.BR ipcrm (1),
.BR sysvipc (7),
.BR mq_overview (7)
"""


class Parts(argparse.HelpFormatter):
    """A formatter that keeps the arguments of a parser, instead of formatting them."""

    actions: list[argparse.Action]
    last: Parts

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.actions = []
        Parts.last = self

    def add_argument(self, action: argparse.Action) -> None:
        self.actions.append(action)


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a parser."""
    parser.formatter_class = Parts
    parser.format_help()
    return Parts.last.actions


def page() -> str:
    """Return the manual page."""
    top = new_parser()
    every = actions(top)
    lines = [
        f'.TH PYTEST\\-IPC 1 "" "pytest\\-ipc {__version__}" "User Commands"',
        ".SH NAME",
        "pytest\\-ipc \\- check the IPC of a platform against its manual; list and remove IPC objects of tests",
        ".SH SYNOPSIS",
        ".B pytest\\-ipc",
        ".I command",
        r".RI [ arguments ]",
        ".SH DESCRIPTION",
        *block(top.description or ""),
        ".SH OPTIONS",
        *options(action for action in every if action.option_strings),
        ".SH COMMANDS",
    ]
    # The only positional argument of the command is the table of subcommands.
    (commands,) = (action.choices for action in every if isinstance(action.choices, dict))
    for name, parser in commands.items():
        lines += command(name, parser)
    return "\n".join(lines) + "\n" + FILES


def command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the part of a subcommand."""
    every = actions(parser)
    names = [action for action in every if not action.option_strings]
    yield f".SS {escaped(name)}"
    yield f".B pytest\\-ipc {escaped(name)}"
    yield r".RI [ options ]"
    for action in names:
        value = f"\\fI{escaped(word(action))}\\fR"
        yield {"*": f"[{value} ...]", "+": f"{value} ...", "?": f"[{value}]"}.get(str(action.nargs), value)
    yield ".PP"
    if parser.description:
        yield from block(parser.description)
    yield from options([*names, *(action for action in every if action.option_strings)])
    if parser.epilog:
        yield ".PP"
        yield from block(parser.epilog)


def block(text: str) -> Iterator[str]:
    """Yield a text: paragraphs are filled, and lines that begin with spaces are kept as they are."""
    for part in text.strip("\n").split("\n\n"):
        lines = part.split("\n")
        if any(line.startswith("  ") for line in lines):
            yield from (".PP", ".nf", *map(escaped, lines), ".fi")
        else:
            yield from (".PP", *map(escaped, lines))


def options(actions: Iterable[argparse.Action]) -> Iterator[str]:
    """Yield the arguments with their texts."""
    for action in actions:
        yield ".TP"
        value = f" \\fI{escaped(word(action))}\\fR" if action.option_strings and action.nargs != 0 else ""
        if action.nargs == "?" and action.option_strings:
            value = f" [\\fI{escaped(word(action))}\\fR]"
        if action.option_strings:
            yield ", ".join(f"\\fB{escaped(option)}\\fR{value}" for option in action.option_strings)
        else:
            yield f"\\fI{escaped(word(action))}\\fR"
        facts = vars(action) | {"prog": "pytest-ipc"}
        yield escaped(((action.help or "") % facts) + ".")


def word(action: argparse.Action) -> str:
    """Return what stands for the value of an argument."""
    if isinstance(action.metavar, str):
        return action.metavar
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()


def escaped(text: str) -> str:
    """Return a text of which groff prints every character."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return re.sub(r"^\.", "\\\\&.", text, flags=re.MULTILINE)


def main() -> int:
    """Write the page, or compare it."""
    text = page()
    if "--check" in sys.argv[1:]:
        is_new = PAGE.read_text(encoding="utf-8") == text
        print("docs/pytest-ipc.1 is up to date" if is_new else "docs/pytest-ipc.1: run python docs/man.py")
        return 0 if is_new else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
