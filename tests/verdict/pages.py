"""Pages of reports, and what a test does with them in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_ipc.verdict.reports.matrix import by_platform
from pytest_ipc.verdict.reports.matrix_html import render
from pytest_ipc.verdict.reports.reader import Reader
from pytest_ipc.verdict.result import Verdict

from . import reports
from .browser import Browser

HOST = {f"shm.c{number:03}": reports.HOLDS for number in range(300)} | {"mq.a": reports.HOLDS, "mq.b": reports.HOLDS}
BOX = HOST | {"shm.c150": reports.DEVIATES, "shm.c151": reports.UNTESTED, "mq.a": reports.ABSENT}

GOOD, BAD = {"shm.a": reports.HOLDS, "shm.b": reports.HOLDS}, {"shm.a": reports.DEVIATES, "shm.b": reports.HOLDS}
GOOD_AND_BAD = GOOD, BAD, GOOD


def write(folder: Path, **verdicts: dict[str, Verdict]) -> Path:
    """Write the page of reports of these verdicts."""
    reader = Reader()
    found = [reader.read(reports.write(folder, name, those)) for name, those in verdicts.items()]
    path = folder / "matrix.html"
    path.write_text(render(by_platform(found, reader.clauses)), encoding="utf-8")
    return path


def write_history(folder: Path, name: str, *verdicts: dict[str, Verdict]) -> Path:
    """Write the page of reports of one platform, a day apart."""
    reader = Reader()
    files = [reports.write(folder, name, those, day=day) for day, those in enumerate(verdicts, 1)]
    path = folder / "matrix.html"
    found = [reader.read(file) for file in files]
    path.write_text(render(by_platform(found, reader.clauses, history=True)), encoding="utf-8")
    return path


def ids(page: Browser) -> list[str]:
    found: list[str] = page.ask(
        "[...document.querySelectorAll('tbody tr[data-clause]')].map((row) => row.dataset.clause)"
    )
    return found


def choose(page: Browser, control: str, value: str) -> None:
    page.ask(f"(() => {{ const c = document.getElementById({control!r}); c.value = {value!r};"
             " c.dispatchEvent(new Event(c.id === 'text' ? 'input' : 'change')) })()")  # fmt: skip


def cells(page: Browser) -> list[list[str]]:
    """Return the texts of the shown rows."""
    found: list[list[str]] = page.ask(
        "[...document.querySelectorAll('tbody tr[data-clause]')]"
        ".map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    )
    return found


def click(page: Browser, selector: str) -> None:
    page.ask(f"document.querySelector({selector!r}).click()")


def shown(page: Browser) -> str:
    found: str = page.ask("document.getElementById('shown').textContent")
    return found


def columns(page: Browser) -> Sequence[str]:
    found: list[str] = page.ask("[...document.querySelectorAll('#table thead th')].map((cell) => cell.textContent)")
    return found[1:]
