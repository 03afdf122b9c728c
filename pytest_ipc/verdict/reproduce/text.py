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

    def heading(self, *, is_race: bool = False) -> list[str]:
        """Return the lines of the comment at the begin."""
        ends = [
            "Repeats these calls for 20 seconds, or as many as its argument says.",
            "Exit status: 1 if results of a round deviate, 0 if none do, 2 if that could not be found out.",
        ]
        if not is_race:
            ends = ["Exit status: 1 if this platform deviates, 0 if it does not, 2 if that could not be found out."]
        return [
            f"{self.id}, {self.source}:",
            f"{self.statement}.",
            "",
            f"Observed on {self.platform}:",
            f"expected {self.expected}; {self.observed}",
            *(["", *self.calls] if self.calls else []),
            "",
            *ends,
        ]


def comment(lines: list[str], first: str, begin: str, end: str) -> str:
    """Return a comment of *lines*, wrapped, whose lines begin with *begin*."""
    wrapped = [part for line in lines for part in _wrapped(line)]
    text = "\n".join((begin + line).rstrip() for line in wrapped)
    return first + text.removeprefix(begin).replace("*/", "* /") + end


def _wrapped(line: str) -> list[str]:
    """Return the parts of a line; one of a picture or a table stays whole."""
    if "   " in line:
        return [line]
    return textwrap.wrap(line, 110, subsequent_indent="    ") or [""]


def is_elsewhere(path: str) -> bool:
    """Return whether a path stays as it is: the others are of the test's directory, and of the program's own here."""
    return not path.startswith("/") or path.startswith(("/proc", "/dev", "/sys"))
