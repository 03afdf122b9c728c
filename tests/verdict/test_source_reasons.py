"""The reasons for untested clauses are found in the source of the suite, and a run finds no other reason."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from textwrap import dedent

from pytest_ipc.verdict import suite
from pytest_ipc.verdict.platform import source_reasons

HEAD = "import pytest\nfrom pytest_ipc import clause, untested\n"

SUITE = {
    "conftest.py": """
        @pytest.fixture
        def of_all():
            untested("needs what all need")
    """,
    "helpers.py": """
        from .places import go as _go

        def walk():
            _go("there")
    """,
    "places.py": """
        def go(where):
            untested(f"needs a way {where}")
    """,
    "pipe/conftest.py": """
        @pytest.fixture
        def deeper(of_all):
            pass

        @pytest.fixture
        def named():
            untested("needs a name")
    """,
    "pipe/test_one.py": """
        from ..helpers import walk

        REASON = "not known before it is run"

        @clause("a.none", "a(2)", "ERRORS")
        def test_none(pipe):
            '''Nothing is asked for.'''

        @clause("a.itself", "a(2)", "ERRORS")
        def test_itself():
            '''Asked for within.'''
            def life():
                untested("needs a life")
            life()

        @clause("a.fixture", "a(2)", "ERRORS")
        def test_fixture(deeper):
            '''Asked for by a fixture's fixture.'''

        @clause("a.helper", "a(2)", "ERRORS")
        def test_helper():
            '''Asked for by an imported function.'''
            walk()

        @clause("a.mark", "a(2)", "ERRORS")
        @pytest.mark.usefixtures("named")
        def test_mark():
            '''Asked for by a mark.'''

        @clause("a.variable", "a(2)", "ERRORS")
        def test_variable():
            '''What it is for, only a run tells.'''
            untested(REASON)

        @clause("a.plugin", "a(2)", "ERRORS")
        def test_plugin(two_hosts):
            '''Asked for by a fixture of the plugin.'''
    """,
    "sem/test_two.py": """
        pytestmark = pytest.mark.usefixtures("of_all")

        @clause("b.file", "b(2)", "ERRORS")
        def test_file():
            '''Asked for by the file.'''
    """,
}


def test_needs_of_each_clause_are_found_in_the_source(tmp_path):
    for name, source in SUITE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + dedent(source))
    found = source_reasons.asked(tmp_path)
    assert any("CAP_NET_ADMIN" in reason for reason in found.pop("a.plugin"))
    assert found == {
        "a.none": set(),
        "a.itself": {"needs a life"},
        "a.fixture": {"needs what all need"},
        "a.helper": {f"needs a way {source_reasons.UNKNOWN}"},
        "a.mark": {"needs a name"},
        "a.variable": {source_reasons.UNKNOWN},
        "b.file": {"needs what all need"},
    }


def test_every_reason_of_the_suite_belongs_to_a_clause():
    """A reason that no clause reaches could not be followed from the test to its source."""
    root = suite.location()
    given = {reason for path in root.rglob("*.py") for reason in source_reasons.reasons(path)}
    assert len(given) > 50
    assert given <= frozenset().union(*source_reasons.asked(root).values())


UNPRIVILEGED = """
import sys
from pytest_ipc.kernel import CapabilitySets, capset
from pytest_ipc.cli import main

capset(CapabilitySets(0, 0, 0))
sys.exit(main(["check", "msg", "msgget.*", "limits", "--report", sys.argv[1]]))
"""


def test_reasons_of_a_run_are_found_in_the_source(tmp_path):
    """Without capabilities, so that clauses are untested."""
    report = tmp_path / "r.json"
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, report], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    asked = source_reasons.asked(suite.location())
    found = [clause for clause in json.loads(report.read_text())["clauses"] if clause["verdict"] == "untested"]
    assert found
    for clause in found:
        patterns = [re.escape(reason).replace(source_reasons.UNKNOWN, ".*") for reason in asked[clause["id"]]]
        assert any(re.fullmatch(pattern, clause["reason"]) for pattern in patterns), clause["id"]
