"""Rows of the leak check: what it adds to an empty test, also on a machine where others have much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from . import foreign
from .clock import Way
from .pytest_run import Blocks, entry_point, project
from .row import Row
from .unused import BLOCK, FILES, SOURCES

__all__ = ["ROWS", "checked"]


@contextmanager
def checked(**things: int) -> Iterator[Mapping[str, Way]]:
    """Empty tests with the leak check for all kinds, and with none, among so many foreign *things*."""
    inside = foreign.isolated(**things) if things else []
    plugin = ("-p", entry_point())
    with (
        project(SOURCES["function"], FILES) as folder,
        Blocks(folder, *plugin, "--ipc-leaks=error", inside=inside) as ours,
        Blocks(folder, *plugin, "--ipc-leaks=ignore", inside=inside) as peer,
    ):
        yield {"ours": ours, "peer": peer}


def _row(name: str, condition: str, **things: int) -> Row:
    return Row(
        name,
        f"an empty test with the leak check{condition}",
        "--ipc-leaks=ignore",
        None,
        lambda: checked(**things),
        loops=BLOCK,
    )


ROWS = (
    _row("leaks", ""),
    _row("leaks-segments", ", 4,000 foreign segments", segments=4000),
    _row("leaks-names", ", 10,000 foreign names", names=10_000),
    _row("leaks-descriptors", ", 1,000 descriptors", descriptors=1000),
)
