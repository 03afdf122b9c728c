"""Text as string literals of C."""

from __future__ import annotations

from .steps import Missing

__all__ = ["string"]


def string(text: str, most: int = 20_000) -> str:
    """Return a C string literal of text in Latin-1 or ASCII."""
    data = text.encode("latin-1", "replace")
    parts = [data[start : start + 60] for start in range(0, len(data), 60)] or [b""]
    if len(data) > most:
        raise Missing(f"a text that is short enough for a source: one has {len(data)} bytes")
    return "\n        ".join('"' + "".join(map(_sign, part)) + '"' for part in parts)


def _sign(byte: int) -> str:
    char = chr(byte)
    return char if " " <= char <= "~" and char not in '"\\?' else f"\\{byte:03o}"
