"""The words of a reproducer: what the clause says, what was expected and observed, and the calls as observed."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

__all__ = ["Words", "comment", "is_elsewhere"]


@dataclass(frozen=True)
class Words:
    """The clause, its page and section, and the deviation with the platform where it was observed."""

    id: str
    source: str
    statement: str
    expected: str
    observed: str
    platform: str
    calls: tuple[str, ...] = ()

    def heading(self) -> list[str]:
        """Return the lines of the comment at the begin."""
        return [
            f"{self.id}, {self.source}:",
            f"{self.statement}.",
            "",
            f"Observed on {self.platform}:",
            f"expected {self.expected}; {self.observed}",
            *(["", *self.calls] if self.calls else []),
            "",
            "Exit status: 1 if this platform deviates, 0 if it does not, 2 if that could not be found out.",
        ]


def comment(lines: list[str], first: str, begin: str, end: str) -> str:
    """Return a comment of *lines*, wrapped, whose lines begin with *begin*."""
    wrapped = [part for line in lines for part in (textwrap.wrap(line, 110, subsequent_indent="    ") or [""])]
    text = "\n".join((begin + line).rstrip() for line in wrapped)
    return first + text.removeprefix(begin).replace("*/", "* /") + end


def is_elsewhere(path: str) -> bool:
    """Return whether a path stays as it is: the others are of the test's directory, and of the program's own here."""
    return not path.startswith("/") or path.startswith(("/proc", "/dev", "/sys"))
