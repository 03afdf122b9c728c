"""Numbers for people: sizes, times, bandwidths, three digits each."""

from __future__ import annotations

from .figures import Figure

__all__ = ["as_text", "bandwidth", "duration", "size", "spread"]


def size(count: int) -> str:
    """Return a number of bytes in binary units: 64 B, 4 KiB, 16 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024 or count % 1024:
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"


def duration(nanoseconds: float) -> str:
    """Return a time: 850 ns, 7.1 µs, 12 ms, 3.4 s."""
    return _scaled(nanoseconds, ("ns", "µs", "ms", "s"))


def bandwidth(rate: float) -> str:
    """Return bytes a second in decimal units: 340 MB/s, 5.2 GB/s."""
    return _scaled(rate, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s"))


def _scaled(value: float, units: tuple[str, ...]) -> str:
    last = len(units) - 1
    for number, unit in enumerate(units):
        if abs(value) < 999.5 or number == last:
            digits = 0 if abs(value) >= 99.5 or number == 0 else 1 if abs(value) >= 9.95 else 2
            return f"{value:.{digits}f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes every value")


def as_text(figure: Figure) -> str:
    """Return the median of *figure*."""
    return bandwidth(figure.median) if figure.quantity == "bandwidth" else duration(figure.median)


def spread(figure: Figure) -> str:
    """Return the spread of *figure* as ±4 %, or nothing if it was measured once."""
    return "" if figure.spread is None else f"±{figure.spread:.0%}".replace("%", " %")
