"""The output of children and programs, passed on to the streams of the test."""

from __future__ import annotations

from typing import TextIO

__all__ = ["shortened", "write_text"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


def shortened(text: str, most: int = 100_000) -> str:
    """Return *text* without its middle, if it is longer than *most* characters."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n[… {len(text) - most} characters …]\n{text[-most // 2 :]}"


def write_text(text: str, stream: TextIO) -> None:
    """Write *text* to a stream whose encoding may lack some of its characters."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
