"""Files as commands write them."""

from __future__ import annotations

from pathlib import Path

from pytest_ipc.verdict.reports import atomic


def written(path: Path, content: str | bytes, **options) -> None:
    atomic.check_writable(path)
    atomic.write(path, content, **options)
