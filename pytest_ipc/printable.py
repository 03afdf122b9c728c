"""Text to print: names of files, processes and tests may contain control characters; a count needs its plural."""

from __future__ import annotations

__all__ = ["counted", "plain"]


def plain(text: object) -> str:
    """Return *text* as one line of printable characters, with escapes for all others, as "\\x1b" for ESC."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def counted(count: int, what: str) -> str:
    """Return *count* and the noun *what*, in the plural unless it is one."""
    return f"{count} {what}{'' if count == 1 else 's'}"
