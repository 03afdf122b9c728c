"""Filters, columns and files of the page: what the address keeps, and what a phone shows."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import quote

import pytest

from pytest_ipc.cli import main
from pytest_ipc.verdict import suite

from . import reports
from .browser import Browser
from .pages import BAD, BOX, GOOD, HOST, cells, choose, click, columns, ids, shown, write, write_history


def test_filters_are_in_the_address_and_restored_from_it(page, tmp_path):
    choose(page, "mechanism", "shm")
    choose(page, "platform", "box")
    choose(page, "verdict", "untested")
    choose(page, "text", "c15 ERRORS")
    page.wait("location.hash.includes('text=')")
    address = page.ask("location.hash")
    assert address == "#mechanism=shm&platform=box&verdict=untested&text=c15+ERRORS"
    assert ids(page) == ["shm.c151"]
    page.open(f"file://{tmp_path}/matrix.html{address}")
    assert ids(page) == ["shm.c151"]
    names = "mechanism", "platform", "verdict", "text"
    values = [page.ask(f"document.getElementById({name!r}).value") for name in names]
    assert values == ["shm", "box", "untested", "c15 ERRORS"]
    click(page, "#reset")
    assert page.ask("location.hash") == ""
    assert shown(page) == "3 of 302 clauses"


def test_open_clause_joins_the_filters_in_the_address(page, tmp_path):
    choose(page, "mechanism", "mq")
    click(page, "#table th button")
    assert page.ask("location.hash") == "#mechanism=mq&clause=mq.a"
    page.open(f"file://{tmp_path}/matrix.html#mechanism=mq&clause=mq.a")
    assert ids(page) == ["mq.a"]
    assert page.ask("document.querySelector('.detail') !== null")


@pytest.mark.parametrize(
    "fragment",
    [
        "#mechanism=nonsense&platform=nobody&verdict=wrong&order=up&hide=none&first=none&clause=no.such",
        "#no.such.clause",
        "#%E0%A4%A=&x",
        "#%",
        "#matrix",
    ],
)
def test_address_with_unknown_parts_shows_the_page(page, tmp_path, fragment):
    page.open(f"file://{tmp_path}/matrix.html{fragment}")
    assert shown(page) == "3 of 302 clauses"
    assert not [event for event in page.events if event.get("method") == "Runtime.exceptionThrown"]


def test_platform_filter_is_about_that_platform(page):
    choose(page, "platform", "host")
    choose(page, "verdict", "deviates")
    assert ids(page) == []
    choose(page, "platform", "box")
    assert ids(page) == ["shm.c150"]
    assert columns(page) == ["box", "host"]


def test_numbers_of_the_totals_are_filters_and_back_returns(page):
    link = "#totals a[href='#mechanism=shm&platform=box&verdict=deviates']"
    assert page.ask(f'document.querySelector("{link}").closest("td").textContent') == "1 of 299"
    page.ask(f'document.querySelector("{link}").click()')
    assert ids(page) == ["shm.c150"]
    assert page.ask("document.activeElement.id") == "matrix"
    page.ask("document.querySelector(\"#summary a[href='#platform=box&verdict=absent']\").click()")
    assert ids(page) == ["mq.a"]
    page.ask("history.back()")
    page.wait("document.getElementById('verdict').value === 'deviates'")
    assert ids(page) == ["shm.c150"]
    page.ask("history.back()")
    page.wait("document.getElementById('verdict').value === 'news'")


TOTALS = """[...document.querySelectorAll("#totals tbody tr")].map(
    (row) => [...row.cells].map((cell) => cell.innerText.trim()))"""


def test_totals_count_the_judged_clauses(page):
    assert page.ask(TOTALS) == [["mq", "0 of 1", "0 of 2"], ["shm", "1 of 299", "0 of 300"]]


def test_mechanism_without_a_judged_clause_says_why(chromium, tmp_path):
    path = write(tmp_path, box={"mq.a": reports.ABSENT, "shm.a": reports.HOLDS}, other={"shm.a": reports.HOLDS})
    chromium.open(f"file://{path}")
    assert chromium.ask(TOTALS)[0] == ["mq", "absent", "not judged"]


def test_every_link_of_the_tables_shows_that_number_of_clauses(page):
    found = page.ask("[...document.querySelectorAll('#summary td a')].map((link) => [link.hash, link.textContent])")
    assert len(found) == 5
    for fragment, number in found:
        page.ask(f"location.hash = {fragment!r}")
        page.wait(f"document.getElementById('shown').textContent === '{number} of 302 clauses'")


def test_columns_are_hidden_and_ordered(page, tmp_path):
    assert columns(page) == ["box", "host"]
    click(page, "#choices input[name=box]")
    assert columns(page) == ["host"]
    assert shown(page) == "3 of 302 clauses, 1 of 2 platforms"
    assert page.ask("location.hash") == "#hide=box"
    click(page, "#choices input[name=host]")
    assert columns(page) == ["host"], "the last column stays"
    click(page, "#choices input[name=box]")
    choose(page, "order", "given")
    assert columns(page) == ["host", "box"]
    click(page, "#choices button[data-first=box]")
    assert columns(page) == ["box", "host"]
    page.open(f"file://{tmp_path}/matrix.html#order=given&hide=host&first=box")
    assert columns(page) == ["box"]
    assert page.ask("document.querySelector('#choices input[name=host]').checked") is False


def test_filter_of_a_number_keeps_the_columns(page):
    choose(page, "order", "given")
    page.ask("document.querySelector(\"#summary a[href='#platform=host&verdict=holds']\").click()")
    assert page.ask("location.hash") == "#platform=host&verdict=holds&order=given"


def test_names_with_signs_are_filters(chromium, tmp_path):
    name = "a&b=c #1 ü+%"
    path = write(tmp_path, **{name: {"shm.a": reports.DEVIATES}})
    chromium.open(f"file://{path}#platform={quote(name)}&verdict=deviates")
    assert ids(chromium) == ["shm.a"]
    chromium.ask("document.querySelector('#summary td a').click()")
    assert chromium.ask("document.getElementById('platform').value") == name


@pytest.fixture
def phone(page: Browser, tmp_path) -> Browser:
    page.resize(390, 844)
    page.open(f"file://{tmp_path}/matrix.html")
    return page


def test_phone_lists_the_platforms_that_differ(phone):
    assert columns(phone) == ["verdicts"]
    assert cells(phone) == [
        ["shm.c150", "deviates on box\nholds on 1 more"],
        ["shm.c151", "untested on box\nholds on 1 more"],
        ["mq.a", "absent on box\nholds on 1 more"],
    ]
    choose(phone, "verdict", "all")
    choose(phone, "mechanism", "mq")
    assert cells(phone)[1] == ["mq.b", "holds on all 2"]
    click(phone, "#table th button")
    assert "deviates" not in phone.ask("document.querySelector('.detail').innerText")
    assert phone.ask("document.documentElement.scrollWidth") <= 390


def test_turning_a_phone_shows_the_table(phone):
    phone.resize(844, 390)
    phone.wait("document.querySelectorAll('#table thead th').length === 3")
    assert columns(phone) == ["box", "host"]


def test_copying_the_command_of_a_clause(page):
    page.ask("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    click(page, "#table th button")
    click(page, ".detail .copy")
    page.wait("document.querySelector('.detail .copy').textContent === 'Copied'")
    assert page.ask("window.copied") == "pytest-ipc check shm.c150"
    click(page, "#link")
    page.wait("document.getElementById('link').textContent === 'Copied'")
    assert page.ask("window.copied === location.href")


def test_copying_without_a_clipboard(page):
    page.ask("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'))")
    page.ask("document.execCommand = (name) => { window.copied = `${name} ${document.activeElement.value}`; }")
    click(page, "#table th button")
    click(page, ".detail .copy")
    page.wait("document.querySelector('.detail .copy').textContent === 'Copied'")
    assert page.ask("window.copied") == "copy pytest-ipc check shm.c150"
    assert page.ask("document.querySelector('textarea') === null")


def test_links_to_the_manual_and_to_the_source(chromium, tmp_path):
    clause = next(clause for clause in suite.clauses(suite.location()) if clause.id == "shmget.private-always-new")
    chromium.open(f"file://{write(tmp_path, box={clause.id: reports.DEVIATES})}#{clause.id}")
    links = chromium.ask("[...document.querySelectorAll('.detail a')].map((link) => link.href)")
    assert links[0] == "https://man7.org/linux/man-pages/man2/shmget.2.html"
    place = f"conformance/{clause.mechanism}/{clause.path.name}#L{clause.line}"
    assert links[2].startswith("https://github.com/pytest-ipc/pytest-ipc/blob/v")
    assert links[2].endswith(f"/{place}")
    assert f"def {clause.function}(" in clause.path.read_text().splitlines()[clause.line - 1]


def saved(page: Browser, button: str) -> str:
    """Return the file that a button saves."""
    page.ask("URL.createObjectURL = (blob) => { window.saved = blob; return '#'; }")
    click(page, button)
    text: str = page.ask("window.saved.text()")
    return text


def test_csv_has_the_shown_clauses_and_columns(chromium, tmp_path):
    chromium.resize(1200, 900)
    chromium.open(f"file://{write(tmp_path, host=HOST, box=BOX)}#hide=host&verdict=deviates")
    rows = list(csv.reader(io.StringIO(saved(chromium, "#csv"))))
    assert rows == [
        ["clause", "mechanism", "page", "section", "statement", "box"],
        ["shm.c150", "shm", "shm(2)", "ERRORS", "The clause shm.c150 is kept", "deviates"],
    ]


def test_csv_has_no_formula(chromium, tmp_path):
    path = reports.write(tmp_path, "=1+1", {"a.b": reports.HOLDS})
    found = json.loads(path.read_text())
    found["clauses"][0]["statement"] = '=HYPERLINK("x")'
    found["clauses"][0]["section"] = "-1, x"
    path.write_text(json.dumps(found))
    assert main(["compare", str(path), "--html", str(tmp_path / "m.html")]) == 0
    chromium.open(f"file://{tmp_path}/m.html#verdict=all")
    rows = list(csv.reader(io.StringIO(saved(chromium, "#csv"))))
    assert rows[0][5] == "'=1+1"
    assert rows[1][3:5] == ["'-1, x", '\'=HYPERLINK("x")']


def test_json_has_the_reasons_of_what_is_shown(chromium, tmp_path):
    chromium.resize(1200, 900)
    chromium.open(
        f"file://{write(tmp_path, host=HOST, box=BOX | {'shm.c150': reports.SEEN})}#mechanism=shm&verdict=deviates"
    )
    found = json.loads(saved(chromium, "#json"))
    assert [clause["id"] for clause in found] == ["shm.c150"]
    assert found[0]["platforms"]["host"] == {"verdict": "holds"}
    assert found[0]["platforms"]["box"]["observed"] == reports.SEEN.observed
    assert "IPC_CREAT | IPC_EXCL" in found[0]["platforms"]["box"]["evidence"]


def test_history_of_a_platform(chromium, tmp_path):
    chromium.resize(1200, 900)
    chromium.open(f"file://{write_history(tmp_path, 'box', GOOD, GOOD, BAD)}#shm.a")
    assert columns(chromium) == ["box"]
    detail = chromium.ask("document.querySelector('.detail').innerText")
    assert "history on box: holds 2026-01-01 → deviates 2026-01-03" in detail
    chromium.ask("document.querySelector('#history-title').parentElement.querySelector('details').open = true")
    text = chromium.ask("document.querySelector('.history').innerText").splitlines()
    assert text[:3] == [
        "2026-01-01T12:30:00Z: 2 clauses judged",
        "2026-01-02T12:30:00Z: no verdict changed",
        "2026-01-03T12:30:00Z: 1 worse",
    ]
    assert text[3] == "shm.a holds → deviates"


def test_clause_judged_differently_on_one_platform_is_flaky(chromium, tmp_path):
    chromium.resize(1200, 900)
    chromium.open(f"file://{write_history(tmp_path, 'box', BAD, GOOD)}#verdict=flaky")
    assert cells(chromium) == [["shm.a", "holds flaky"]]
    assert "2 reports, 1 flaky" in chromium.ask("document.querySelector('#history-title').parentElement.innerText")
    chromium.resize(390, 844)
    chromium.wait("document.querySelector('#table .differences') !== null")
    assert cells(chromium) == [["shm.a", "holds, flaky on box"]]


def test_clause_of_another_kernel_is_not_flaky(chromium, tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "PLATFORM", reports.PLATFORM | {"kernel": "Linux 6.1"})
    old = reports.write(tmp_path, "box", BAD, day=1)
    monkeypatch.undo()
    new = reports.write(tmp_path, "box", GOOD, day=2)
    assert main(["compare", "--history", str(new), str(old), "--html", str(tmp_path / "m.html")]) == 0
    chromium.open(f"file://{tmp_path}/m.html")
    assert chromium.ask("document.querySelectorAll('.flaky').length") == 1, "only in the legend"
    assert "kernel: Linux 6.1 → Linux 6.12.9" in chromium.ask("document.querySelector('.history').textContent")


def test_flaky_clauses_of_dates_are_marked(chromium, tmp_path):
    files = [str(reports.write(tmp_path, "box", those, day=day)) for day, those in enumerate((BAD, GOOD), 1)]
    assert main(["compare", "--changes", *files, "--html", str(tmp_path / "m.html")]) == 0
    chromium.resize(1200, 900)
    chromium.open(f"file://{tmp_path}/m.html#verdict=flaky")
    assert cells(chromium) == [["shm.a", "deviates flaky", "holds flaky"]]


def test_totals_are_used_by_keyboard(page):
    page.ask("document.querySelector('#totals td.deviates a').focus()")
    page.press("Enter")
    page.wait("document.activeElement.id === 'matrix'")
    assert ids(page) == ["shm.c150"]
    page.press("Tab")
    assert page.ask("document.activeElement.id") == "mechanism"
    page.ask("document.querySelector('#columns summary').focus()")
    page.press("Enter")
    page.wait("document.querySelector('#columns').open")
    page.press("Tab")
    assert page.ask("document.activeElement.id") == "order"
    page.press("Tab")
    assert page.ask("document.activeElement.name") == "box"
    page.press(" ")
    page.wait("document.querySelectorAll('#table thead th').length === 2")
    assert columns(page) == ["host"]
    page.press("Tab")
    page.press("Enter")
    page.wait("document.querySelectorAll('#table thead th').length === 3")
    assert page.ask("document.activeElement.dataset.first") == "box", "the focus stays on the button"
