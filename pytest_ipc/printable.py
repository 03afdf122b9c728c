"""Text that is safe to print: names of files, processes and tests may contain control characters."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: object) -> str:
    """Return *text* as one line of printable characters, with escapes for all others, as "\\x1b" for ESC."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
