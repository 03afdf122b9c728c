"""The page of a comparison in a browser: contents, mouse, keyboard, accessibility, and no network."""

from __future__ import annotations

import json
import re

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict.reports.matrix_html import MEANING
from pytest_ipc.verdict.result import VERDICTS, Verdict

from . import reports
from .pages import BOX, HOST, cells, choose, ids, write

EVIL = "</script><script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">&amp;'"

# The smallest contrast of text and background on the page, as defined by WCAG.
CONTRAST = """(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = numbers(color).map((v) => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (!color.startsWith("rgba")) return color;
    }
  };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body, body *:not(script, style, noscript, .bar span)")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    const found = (a + .05) / (b + .05);
    if (found < worst[0]) worst = [found, e.outerHTML.slice(0, 80)];
  }
  return worst;
})()"""


def test_deviations_come_first(page):
    assert ids(page) == ["shm.c150", "shm.c151", "mq.a"]
    assert cells(page)[0] == ["shm.c150", "deviates", "holds"], "and so does the platform that has them"
    assert page.ask("document.getElementById('shown').textContent") == "3 of 302 clauses"


def test_filters_select_rows(page):
    choose(page, "verdict", "absent")
    assert ids(page) == ["mq.a"]
    choose(page, "verdict", "all")
    choose(page, "mechanism", "mq")
    assert ids(page) == ["mq.a", "mq.b"]
    choose(page, "text", "  KEPT mq.b ")
    page.wait("document.getElementById('shown').textContent === '1 of 302 clauses'")
    assert ids(page) == ["mq.b"]
    choose(page, "text", "no such thing")
    page.wait("document.getElementById('shown').textContent === '0 of 302 clauses'")
    assert ids(page) == []


def test_rows_exist_where_they_are_visible(page):
    choose(page, "verdict", "all")
    height = page.ask("document.getElementById('clauses').scrollHeight")
    seen: set[str] = set()
    while len(seen) < 302:
        live = set(ids(page))
        assert len(live) < 200
        seen |= live
        page.ask("document.getElementById('clauses').scrollTop += 500")
        page.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert seen == set(BOX)
    assert page.ask("document.querySelector('#table').getAttribute('aria-rowcount')") == "303"
    assert page.ask("document.querySelector('tr[data-clause=\"shm.c299\"]').getAttribute('aria-rowindex')") == "301"
    assert abs(page.ask("document.getElementById('clauses').scrollHeight") - height) < height / 10


def test_details_stay_open_out_of_sight(page):
    choose(page, "verdict", "all")
    page.ask("document.querySelector('#table th button').click()")
    page.ask("document.getElementById('clauses').scrollTop = 9000")
    page.wait("document.querySelector('.detail') === null")
    page.ask("document.getElementById('clauses').scrollTop = 0")
    page.wait("document.querySelector('.detail') !== null")
    assert page.ask("document.querySelector('#table th button').getAttribute('aria-expanded')") == "true"


def test_page_is_printed_whole(page):
    choose(page, "verdict", "all")
    page.ask("dispatchEvent(new Event('beforeprint'))")
    assert sorted(ids(page)) == sorted(BOX)
    page.ask("dispatchEvent(new Event('afterprint'))")
    page.wait("document.querySelectorAll('#table tr[data-clause]').length < 200")


def test_click_opens_the_details(page):
    page.ask("document.querySelector('#table tbody th button').click()")
    detail = page.ask("document.querySelector('.detail').innerText")
    for text in (
        "The clause shm.c150 is kept.",
        "shm(2), ERRORS",
        "deviates on box",
        "holds on host",
        "EEXIST",
        "succeeded with 7",
    ):
        assert text in detail
    assert page.ask("location.hash") == "#shm.c150"
    assert page.ask("document.querySelector('#table tbody th button').getAttribute('aria-expanded')") == "true"
    page.ask("document.querySelector('#table tbody th button').click()")
    assert page.ask("[document.querySelector('.detail'), location.hash].join()") == ","


def test_evidence_of_one_platform_is_shown_for_all(chromium, tmp_path):
    path = write(tmp_path, old={"shm.a": reports.DEVIATES}, new={"shm.a": reports.SEEN}, box={"shm.a": reports.HOLDS})
    chromium.open(f"file://{path}#shm.a")
    assert chromium.ask("document.querySelectorAll('.detail li').length") == 2
    detail = chromium.ask("document.querySelector('.detail').innerText")
    assert "deviates on old; new" in detail
    assert "evidence of one" in detail
    place, *calls = reports.SEEN.evidence
    named = [call.replace("1920", "IPC_CREAT | IPC_EXCL | 0600") for call in calls]
    assert "\n".join([place, *named]) in detail
    assert chromium.ask("document.querySelectorAll('.evidence').length") == 1


def test_keyboard_navigation(page):
    page.press("/")
    assert page.ask("document.activeElement.id") == "text"
    for name in ["Reset", "Columns", "Copy the address", "CSV", "JSON", "shm.c150"]:
        page.press("Tab")
        while page.ask("document.activeElement.id") == "clauses":  # the region, for those who scroll by keys
            page.press("Tab")
        assert page.ask("document.activeElement.textContent") == name
    page.press("ArrowDown")
    page.press("Enter")
    assert page.ask("document.querySelector('.detail').innerText").startswith("The clause shm.c151 is kept.")
    page.press("ArrowUp")
    assert page.ask("document.activeElement.textContent") == "shm.c150"


@pytest.mark.parametrize("id", ["shm.c150", "shm.c299"])
def test_url_fragment_opens_a_clause(page, tmp_path, id):
    page.open(f"file://{tmp_path}/matrix.html#{id}")
    assert page.ask("document.activeElement.textContent") == id
    assert page.ask("document.querySelector('.detail').innerText").startswith(f"The clause {id} is kept.")
    top, head = page.ask(
        "[document.activeElement.getBoundingClientRect().top, "
        "document.querySelector('#table thead').getBoundingClientRect().bottom]"
    )
    assert head <= top < 900


def test_accessibility_tree_has_rows_and_columns(page):
    nodes = page.tell("Accessibility.getFullAXTree")["nodes"]
    nodes_found = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]]
    for entry in (
        ("rowheader", "shm.c150"),
        ("columnheader", "box"),
        ("button", "shm.c150"),
        ("cell", "deviates"),
        ("cell", "holds"),
        ("heading", "Deviations by mechanism"),
        ("region", "Clauses"),
        ("status", None),
        ("combobox", "mechanism"),
        ("combobox", "verdicts"),
        ("combobox", "platform"),
        ("searchbox", "text"),
    ):
        assert entry in nodes_found or (entry[1] is None and entry[0] in {role for role, _ in nodes_found}), entry


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page, tmp_path, scheme):
    page.prefer(scheme)
    every = {f"a.{verdict}": Verdict(verdict, "why") for verdict in VERDICTS}
    page.open(f"file://{write(tmp_path, every=every)}")
    page.ask("document.querySelectorAll('details').forEach((found) => found.open = true)")
    contrast, where = page.ask(CONTRAST)
    assert contrast >= 4.5, where


@pytest.mark.parametrize("width", [1200, 390])
def test_page_is_not_wider_than_the_screen(page, width):
    page.resize(width, 844)
    assert page.ask("document.documentElement.scrollWidth") <= width


def test_text_of_a_report_is_escaped(chromium, tmp_path):
    path = reports.write(
        tmp_path, "box", {"a.b": Verdict("deviates", EVIL, EVIL, EVIL, (EVIL,)), "a.c": Verdict("absent", EVIL)}
    )
    found = json.loads(path.read_text())
    found["name"] = found["platform"]["kernel"] = found["broken"] = EVIL
    found["broken"] = [EVIL]
    for name in ("mechanism", "page", "section", "statement"):
        found["clauses"][0][name] = EVIL
    path.write_text(json.dumps(found))
    assert main(["compare", str(path), "--html", str(tmp_path / "evil.html")]) == 0
    chromium.open(f"file://{tmp_path}/evil.html")
    chromium.ask("document.querySelectorAll('#table tbody th button').forEach((found) => found.click())")
    assert chromium.ask("document.title").startswith("IPC conformance")
    assert chromium.ask("document.images.length + document.scripts.length") == 2
    assert EVIL in chromium.ask("document.querySelector('.detail').innerText")


def test_page_fetches_nothing_and_logs_no_error(page):
    page.ask("document.querySelectorAll('#table tbody th button').forEach((found) => found.click())")
    asked = [
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [address.rpartition("/")[2] for address in asked] == ["matrix.html"]
    assert not [event for event in page.events if event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]


def test_page_with_fifty_platforms(chromium, tmp_path):
    """Rows exist where they are visible, and the last is reachable."""
    every = {f"m{number % 12}.c{number}": reports.HOLDS for number in range(1500)}
    every |= dict.fromkeys(list(every)[::5], reports.ABSENT)
    path = write(tmp_path, **{f"box{number}": every for number in range(50)})
    assert path.stat().st_size < 1_000_000
    chromium.open(f"file://{path}#m5.c1493")
    assert chromium.ask("document.activeElement.textContent") == "m5.c1493"
    choose(chromium, "verdict", "all")
    assert len(ids(chromium)) < 200


def test_page_is_self_contained(tmp_path):
    text = write(tmp_path, host=HOST, box=BOX).read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "@import" not in text
    assert "url(" not in text
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data)["labels"] == ["host", "box"]
    assert re.search(r'<th scope="row"><a href="#platform=box">box</a></th>', text)
    assert set(MEANING) == set(VERDICTS)


def test_columns_of_changes_are_dates(tmp_path, capsys):
    files = [str(reports.write(tmp_path, "box", HOST, day=day)) for day in (1, 2)]
    assert main(["compare", "--changes", *files, "--html", str(tmp_path / "matrix.html")]) == 0
    assert "no verdict changed" in capsys.readouterr().out
    text = (tmp_path / "matrix.html").read_text()
    assert ">2026-01-02T12:30:00Z</a></th>" in text
    data = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data[0])["order"] == [0, 1], "dates stay in order"


@pytest.mark.parametrize("broken", ["report", "folder"])
def test_failure_overwrites_nothing(tmp_path, capsys, broken):
    path = reports.write(tmp_path, "box", HOST)
    target = tmp_path / "matrix.html"
    target.write_text("old")
    if broken == "report":
        path.write_text("{")
    else:
        target = tmp_path / "no" / "folder.html"
    assert main(["compare", str(path), "--html", str(target)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert (tmp_path / "matrix.html").read_text() == "old"
