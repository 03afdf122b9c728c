"""The page of a benchmark: charts and tables of given figures, in one file without scripts."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict.bench.bench_charts import chart, limits
from pytest_ipc.verdict.bench.bench_page import render
from pytest_ipc.verdict.bench.sampling import Missing
from pytest_ipc.verdict.commands import bench as command
from pytest_ipc.verdict.reports import atomic

from . import browser
from .benchmarks import figure, report, write
from .reports import HOLDS
from .reports import write as write_verdicts

SVG = "{http://www.w3.org/2000/svg}"

FIGURES = (
    figure("shm-futex", "latency", 1, 8000, 8400, floor=1900, python=100),
    figure("shm-futex", "latency", 4096, 9000, 9100),
    figure("pipe", "latency", 1, 7000, 7100, 7200, floor=800, python=140),
    figure("pipe", "latency", 4096, 9000, 90_000),
    figure("pipe", "bandwidth", 4096, 1e9, 1.1e9),
    figure("fork", "duration", 0, 250_000, 251_000),
)


def texts(svg: ElementTree.Element, tag: str = "text") -> list[str]:
    return ["".join(element.itertext()) for element in svg.iter(f"{SVG}{tag}")]


def test_chart_has_a_line_for_each_mechanism():
    found = report("a <box>", *FIGURES)
    scale = limits([found], "latency")
    assert scale is not None
    assert scale == (7100, 9050)  # the noise of the pipe is not drawn
    svg = ElementTree.fromstring(chart(found, "latency", scale, 0))
    assert svg.tag == f"{SVG}svg"
    words = texts(svg)
    for word in ("a <box>: round trip", "size of the message", "1 B", "4 KiB", "shared memory, futex", "pipe"):
        assert word in words
    assert sorted(filter(None, texts(svg, "desc"))).count("8.20 µs") == 1
    assert not [*svg.iter(f"{SVG}script")]


def test_charts_of_platforms_have_one_scale():
    fast, slow = report("fast", figure("pipe", "latency", 1, 10, 10)), report("slow", figure("pipe", "latency", 1, 9e6))
    scale = limits([fast, slow], "latency")
    assert scale is not None
    assert scale == (10, 9e6)
    drawn = [texts(ElementTree.fromstring(chart(found, "latency", scale, 0))) for found in (fast, slow)]
    labels = [[word for word in words if re.fullmatch(r"\d+ ns|[\d.]+ [µm]s", word)] for words in drawn]
    assert labels[0] == labels[1]


def test_noise_interrupts_a_line():
    steady = [figure("pipe", "latency", size, 10, 11) for size in (1, 64, 4096, 65536)]
    noise = [figure("pipe", "latency", 1024, 10, 100), figure("fifo", "latency", 1024, 20, 20)]
    svg = ElementTree.fromstring(chart(report("box", *steady, *noise), "latency", (10, 20), 0))
    lines = [path for path in svg.iter(f"{SVG}path") if "line reactive" in path.get("class", "")]
    assert len(lines) == 2  # to 64 bytes, and from 4 KiB


def test_mechanism_has_one_colour_on_every_platform():
    both = report("both", figure("pipe", "latency", 1, 10), figure("inet", "latency", 1, 20))
    one = report("one", figure("inet", "latency", 1, 20))
    drawn = [chart(found, "latency", (10, 20), 0) for found in (both, one)]
    colours = [dict(re.findall(r"\.color-(\d) a:visited{stroke:(#\w+);", text)) for text in drawn]
    assert colours[0]["1"] == colours[1]["0"]
    assert colours[0]["0"] != colours[0]["1"]


def test_nothing_to_draw():
    noise = report("box", figure("pipe", "latency", 1, 1, 100))
    assert limits([noise], "latency") is None
    assert "<svg" not in render([noise])


def test_platform_with_only_noise_has_no_chart():
    noise = report("noise", figure("pipe", "latency", 1, 1, 100))
    page = render([report("box", figure("pipe", "latency", 1, 10, 11)), noise])
    assert page.count("<svg") == 1


def test_page_is_self_contained():
    page = render([report("box", *FIGURES), report("<b>other</b>", *FIGURES)])
    assert "<script" not in page
    assert re.findall(r"""(?:src|href)=["'](?!#)[^"']*""", page) == []
    assert "@import" not in page
    assert "<b>other</b>" not in page
    assert page.count("<svg") == 4


def test_page_shows_figures_reasons_and_conditions():
    missing = (Missing("sysv-queue", 0, "msgget: Function not implemented"),)
    page = render([report("box", *FIGURES, missing=missing, interrupted=True, quick=True)])
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for word in (
        "7.10 µs ±1 %",
        "p99 7.20 µs",
        "floor 800 ns",
        "noise",
        "System V queue: msgget: Function not implemented",
        "processes pinned to CPU 1 and CPU 0; 2 CPUs; load average 0.1",
        "interrupted",
        "round trip, sleeping: does not hold for 1 B",
    ):
        assert word in text


def test_pages_link_to_each_other(tmp_path, capsys):
    matrix, bench = tmp_path / "matrix.html", tmp_path / "bench.html"
    verdicts = str(write_verdicts(tmp_path, "box", {"shmget.a": HOLDS}))
    figures = str(write(tmp_path, report("figures", *FIGURES)))
    assert main(["compare", verdicts, "--html", str(matrix), "--link", str(bench)]) == 0
    assert main(["bench", "--compare", figures, "--html", str(bench), "--link", str(matrix)]) == 0
    assert '<a href="bench.html">' in matrix.read_text()
    assert '<a href="matrix.html">' in bench.read_text()
    assert main(["compare", verdicts, "--link", str(bench)]) == 2
    assert "--link needs --html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "source", "address"),
    [
        ("matrix.html", "bench.html", "matrix.html"),
        ("a b/m.html", "bench.html", "a%20b/m.html"),
        ("matrix.html", "pages/bench.html", "../matrix.html"),
    ],
)
def test_address_is_relative_to_the_page(page, source, address):
    assert atomic.address(Path(page), Path(source)) == address


def test_browser_draws_the_charts(tmp_path_factory):
    if browser.program() is None:
        pytest.skip("needs a browser")
    folder = tmp_path_factory.mktemp("b")  # short: the browser binds a socket below it
    path = folder / "bench.html"
    path.write_text(render([report("box", *FIGURES), report("other", *FIGURES)]))
    with browser.browser(folder) as page:
        page.open(path.as_uri())
        assert page.ask("document.querySelectorAll('figure svg').length") == 4
        heights = page.ask("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().height)")
        assert min(heights) > 100
        assert not [event for event in page.events if event.get("method") == "Log.entryAdded"]


def test_charts_leave_no_finder_of_modules():
    assert [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")] == []


def test_missing_package_of_the_page_is_named(monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "pygal" else object())
    assert main(["bench", "--html", "x.html"]) == 2
    assert (
        capsys.readouterr().err
        == "pytest-ipc: pytest-ipc bench --html needs pygal: pip install 'pytest-ipc[conformance]'\n"
    )
