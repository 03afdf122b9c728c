"""The page of clauses is what the suite is, and no documented sentence has been dropped without a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_ipc.verdict import suite

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_clauses_is_up_to_date():
    done = subprocess.run(
        [sys.executable, DOCS / "clauses.py", "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "docs/clauses.md is up to date\n"), done.stdout + done.stderr


def test_every_sentence_of_the_inventory_is_a_clause_or_says_why_not():
    clauses = {clause.id for clause in suite.clauses(suite.location())}
    rows = [line.split("\t") for line in (DOCS / "inventory.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert len({id for id, *_ in rows}) == len(rows) == 675
    for id, _ltp, _gvisor, stands in rows:
        if not stands.startswith("none: "):
            assert set((stands or id).split()) <= clauses, id
        else:
            assert len(stands) > 20, id
