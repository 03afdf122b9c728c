"""The examples of a page: files that it shows, and commands with the output that it shows.

A fenced block whose first line is a comment with a file name, as in `# test_ring.py` or `/* counter.c */`, is part of
that file. Another block in Python is part of `test_page.py`. In a block of the language `console` the lines after `$ `
are commands, and the others are lines of their output, in this order; `…` stands for any text, and a line of `…` for
any lines. Blocks of other languages, such as `shell`, are not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Command", "Page", "matches", "read_page"]

_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?:#|/\*) ([\w./-]+\.\w+)(?: \*/)?")


@dataclass
class Command:
    """A command, and the lines of output that the page shows."""

    command: str
    output: list[str] = field(default_factory=list)


@dataclass
class Page:
    """The examples of one page: files by name, and commands."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)

    @property
    def tests(self) -> list[str]:
        """The test modules that no command of the page runs."""
        shown = " ".join(command.command for command in self.commands)
        return [name for name in self.files if name.startswith("test_") and name not in shown]


def read_page(path: Path) -> Page:
    """Return the examples of the page at *path*."""
    page = Page()
    for language, text in _BLOCK.findall(path.read_text(encoding="utf-8")):
        first, _, rest = text.partition("\n")
        if language == "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    page.commands.append(Command(line.removeprefix("$ ")))
                elif page.commands:
                    page.commands[-1].output.append(line)
        elif found := _NAME.fullmatch(first):
            page.files[found[1]] = page.files.get(found[1], "") + rest.lstrip("\n") + "\n\n"
        elif language == "python":
            page.files["test_page.py"] = page.files.get("test_page.py", "") + text + "\n\n"
    return page


def matches(shown: list[str], output: str) -> str:
    """Return the first line of *shown* that *output* does not have after those before it; "" if it has all."""
    lines = iter(output.splitlines())
    for wanted in shown:
        if wanted.strip() in ("", "…"):
            continue
        pattern = ".*".join(re.escape(part) for part in wanted.strip().split("…"))
        if not any(re.fullmatch(pattern, line.strip()) for line in lines):
            return wanted
    return ""
