"""Write the pictures of README and documentation: a verdict in the terminal, as SVG, and the page, as PNG.

    python docs/pictures.py REPORT MECHANISM...

The verdict is that of the REPORT on these mechanisms, as `pytest-ipc check` shows it. The page is
docs/example/matrix.html in Chromium. The pictures fetch nothing: the fonts are the reader's.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from pytest_ipc.verdict.reports import expectations
from pytest_ipc.verdict.reports.next_steps import next_steps
from pytest_ipc.verdict.reports.reader import Reader
from pytest_ipc.verdict.reports.terminal import Screen, print_hanging
from pytest_ipc.verdict.result import ClauseResult, SuiteResult

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
WIDTH = 100  # characters
PAGE = 1000, 640  # pixels

# rich's own frame names a font of a server.
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A verdict of pytest-ipc check</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


def verdict(path: Path, mechanisms: list[str]) -> str:
    """Return the picture of a verdict."""
    reader = Reader()
    report = reader.read(path)
    found = [
        ClauseResult(id, clause.mechanism, clause.page, clause.section, clause.statement, verdict, 0.0)
        for id, verdict in report.verdicts.items()
        if (clause := reader.clauses[id]).mechanism in mechanisms
    ]
    result = SuiteResult(found)
    comparison = expectations.compare(result, {})
    console = Console(width=WIDTH, record=True, force_terminal=True, file=io.StringIO(), highlight=False)
    command = f"pytest-ipc check {' '.join(mechanisms)} --report {path.name}"
    console.print(f"$ {command}", style="bold")
    shown = ("kernel", "libc", "architecture")
    for name in shown:
        print_hanging(console, f"{name:<13} ", report.platform[name])
    Screen(console).end(result, comparison)
    console.print(f"{len(found)} clauses")
    for step in next_steps(result, comparison, Path(path.name)):
        print_hanging(console, "next: ", step)
    console.print()
    svg = console.export_svg(title=command, theme=MONOKAI, code_format=FRAME, unique_id="verdict")
    return re.sub(r"(\d+\.\d)\d+", r"\1", svg)


def page() -> bytes:
    """Return the picture of the example page, in at most 256 colours if pngquant is there."""
    sys.path.insert(0, str(HERE.parent))
    from tests.verdict.browser import browser

    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as found:
        picture = Path(folder, "page.png")
        found.resize(*PAGE)
        found.prefer("light")
        found.open(f"file://{HERE}/example/matrix.html")
        found.picture(picture)
        done = subprocess.run(
            ["pngquant", "--speed", "1", "-"], input=picture.read_bytes(), capture_output=True, check=False
        )
        return done.stdout if done.returncode == 0 else picture.read_bytes()


def main() -> int:
    """Write the pictures."""
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "verdict.svg").write_text(verdict(Path(sys.argv[1]), sys.argv[2:]), encoding="utf-8")
    (PICTURES / "page.png").write_bytes(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
