"""Measure the page of a comparison in Chromium: fifty platforms and two thousand clauses, on a desktop and on a phone.

    python -m benchmarks.page [--platforms 50] [--clauses 2000] [--rounds 5]

A tenth of the verdicts are not `holds`. Each time is until the browser has painted, the best and the median of the
rounds; scrolling is from the first row to the last, in steps of 400 pixels: the longest time between two frames, the
95th percentile, and the CPU time of a step.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from pytest_ipc.verdict.reports.matrix import by_platform
from pytest_ipc.verdict.reports.matrix_html import render
from pytest_ipc.verdict.reports.reader import Reader
from pytest_ipc.verdict.result import Verdict
from tests.verdict import reports
from tests.verdict.browser import Browser, browser, program

_SIZES = {"desktop": (1400, 900), "phone": (390, 844)}

_PAINTED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"

_TIMED = (
    "(async () => { const begin = performance.now(); ACTION; "
    f"await {_PAINTED}; return performance.now() - begin; }})()"
)

_SCROLL = """(async () => {
  const region = document.getElementById("clauses");
  region.scrollIntoView();
  const frames = [];
  let last = await new Promise(requestAnimationFrame);
  let still = 0;
  while (still < 5) {
    const before = region.scrollTop;
    region.scrollTop += 400;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    still = region.scrollTop === before ? still + 1 : 0;
  }
  const last_row = [...document.querySelectorAll("#table tr[data-clause]")].at(-1);
  return [frames, Number(last_row.getAttribute("aria-rowindex")) - 1];
})()"""

_ACTIONS = {
    "show all clauses": "location.hash = '#verdict=all'; dispatchEvent(new Event('hashchange'))",
    "filter by a platform": "location.hash = '#platform=box7&verdict=deviates'; dispatchEvent(new Event('hashchange'))",
    "find a word": "location.hash = '#verdict=all&text=clause-1'; dispatchEvent(new Event('hashchange'))",
    "hide a column": "document.querySelector('#choices input').click()",
    "open a clause": "document.querySelector('#table th button').click()",
}


def write(path: Path, platforms: int, clauses: int) -> tuple[float, int]:
    """Write the page; return the seconds of its rendering, and its bytes."""
    chance = random.Random(1)
    ids = [f"mechanism{number % 20}.clause-{number:04}" for number in range(clauses)]
    others = [reports.SEEN, reports.ABSENT, reports.UNTESTED, reports.DISPUTED]
    reader, found = Reader(), []
    for number in range(platforms):
        verdicts: dict[str, Verdict] = {
            id: chance.choice(others) if chance.random() < 0.1 else reports.HOLDS for id in ids
        }
        found.append(reader.read(reports.write(path.parent, f"box{number}", verdicts)))
    begin = perf_counter()
    path.write_text(render(by_platform(found, reader.clauses)), encoding="utf-8")
    return perf_counter() - begin, path.stat().st_size


def measure(page: Browser, address: str, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds by action."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        begin = perf_counter()
        page.open(address)
        page.ask(_PAINTED)
        found.setdefault("load", []).append((perf_counter() - begin) * 1000)
        for name, action in _ACTIONS.items():
            page.open(address)
            found.setdefault(name, []).append(page.ask(_TIMED.replace("ACTION", action)))
        page.open(f"{address}#verdict=all")
        before = _cpu(page)
        frames, rows = page.ask(_SCROLL)
        found.setdefault("CPU of a step of scrolling", []).append((_cpu(page) - before) * 1000 / len(frames))
        found.setdefault("longest frame of scrolling", []).append(max(frames))
        found.setdefault("95 % of the frames of scrolling", []).append(statistics.quantiles(frames, n=20)[-1])
        found.setdefault("last row after scrolling", []).append(rows)
    return found


def _cpu(page: Browser) -> float:
    """Return the CPU seconds of the page's process, which neighbours on the machine do not change much."""
    processes: list[dict[str, Any]] = page.tell_browser("SystemInfo.getProcessInfo")["processInfo"]
    return sum(float(process["cpuTime"]) for process in processes if process["type"] == "renderer")


def main() -> int:
    """Run the command; return 1 without a browser."""
    parser = argparse.ArgumentParser(prog="benchmarks.page", description=(__doc__ or "").partition("\n")[0])
    for name, usual in {"platforms": 50, "clauses": 2000, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=usual, metavar="N")
    options: Any = parser.parse_args()
    if program() is None:
        print("needs Chromium")
        return 1
    with tempfile.TemporaryDirectory(prefix="page-") as folder, browser(Path(folder)) as page:
        path = Path(folder, "matrix.html")
        seconds, size = write(path, options.platforms, options.clauses)
        print(
            f"{options.platforms} platforms, {options.clauses} clauses: {size / 1e6:.2f} MB, written in {seconds:.1f} s"
        )
        for name, (width, height) in _SIZES.items():
            page.resize(width, height)
            for action, samples in measure(page, f"file://{path}", options.rounds).items():
                unit = "" if action.startswith("last row") else " ms"
                print(f"{name:8} {action:32} {min(samples):8.0f}{unit} {statistics.median(samples):8.0f}{unit}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
