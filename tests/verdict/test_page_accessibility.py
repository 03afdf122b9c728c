"""The page under axe-core, in every state: desktop and phone, light and dark, a clause open, filters without a result.

axe-core is downloaded by `tox -e page`; its file is named by PYTEST_IPC_AXE.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_ipc.verdict.result import VERDICTS, Verdict

from . import reports
from .browser import Browser
from .pages import BOX, GOOD_AND_BAD, HOST, write, write_history

AXE = os.environ.get("PYTEST_IPC_AXE", "")
pytestmark = pytest.mark.skipif(not AXE, reason="needs axe-core: tox -e page")

# Everything that axe knows of WCAG up to 2.2 AA, and its best practices.
RUN = """axe.run(document, { runOnly: { type: "tag", values: [
    "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] } })
    .then((found) => found.violations.map((one) => one.id + ": " + one.nodes.map((node) => node.html.slice(0, 80))))"""


def violations(page: Browser) -> list[str]:
    page.ask(f"(() => {{ {Path(AXE).read_text(encoding='utf-8')} }})()")
    found: list[str] = page.ask(RUN)
    return found


STATES = {
    "first": "0",
    "open": "document.querySelectorAll('details').forEach((one) => { one.open = true; });"
    "document.querySelectorAll('#table th button').forEach((one) => one.click())",
    "nothing": "(() => { const text = document.getElementById('text'); text.value = 'no such thing';"
    "text.dispatchEvent(new Event('input')) })()",
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_page_has_no_violation(chromium, tmp_path, width, scheme, state):
    every = {f"a.{verdict}": Verdict(verdict, "why") for verdict in VERDICTS}
    path = write(tmp_path, host=HOST, box=BOX | {"shm.c150": reports.SEEN}, every=every)
    chromium.resize(width, 844)
    chromium.prefer(scheme)
    chromium.open(f"file://{path}")
    chromium.ask(STATES[state])
    if state == "nothing":
        chromium.wait("document.getElementById('shown').textContent.startsWith('0 of')")
    assert violations(chromium) == []


def test_history_has_no_violation(chromium, tmp_path):
    chromium.resize(1200, 844)
    chromium.open(f"file://{write_history(tmp_path, 'box', *GOOD_AND_BAD)}#verdict=flaky")
    chromium.ask(STATES["open"])
    assert violations(chromium) == []


def test_violation_is_found(page):
    """A planted one: text without contrast, a control without a name."""
    page.ask("document.querySelector('h1').style.color = '#eee'; document.querySelector('#reset').textContent = ''")
    assert {line.partition(":")[0] for line in violations(page)} == {"button-name", "color-contrast"}
