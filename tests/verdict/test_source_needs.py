"""Which needs a clause has is read from the suite, wherever they are declared.

And no run finds a need that was not read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent

from pytest_ipc import Need
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.platform import source_needs

HEAD = "import pytest\nfrom pytest_ipc import Need, clause, untested\n"

SUITE = {
    "conftest.py": """
        @pytest.fixture
        def of_all():
            untested(Need.CAP_SYS_ADMIN, "needs what all need")
    """,
    "helpers.py": """
        from .places import go as _go

        def walk():
            _go("there")
    """,
    "places.py": """
        def go(where):
            untested(Need.MOUNTS, f"needs a way {where}")
    """,
    "pipe/conftest.py": """
        @pytest.fixture
        def deeper(of_all):
            pass

        @pytest.fixture
        def named():
            untested(Need.PROGRAMS, "needs a name")
    """,
    "pipe/test_one.py": """
        from ..helpers import walk

        WHAT = Need.SECCOMP

        @clause("a.none", "a(2)", "ERRORS")
        def test_none(pipe):
            '''Nothing is asked for.'''

        @clause("a.itself", "a(2)", "ERRORS")
        def test_itself():
            '''Asked for within.'''
            def life():
                untested(Need.TIME, "needs a life")
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
            untested(WHAT, "not known before it runs")

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


def test_needs_of_each_clause(tmp_path):
    for name, source in SUITE.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + dedent(source))
    assert source_needs.by_clause(tmp_path) == {
        "a.none": set(),
        "a.itself": {Need.TIME},
        "a.fixture": {Need.CAP_SYS_ADMIN},
        "a.helper": {Need.MOUNTS},
        "a.mark": {Need.PROGRAMS},
        "a.variable": {Need.SECCOMP},
        "a.plugin": {Need.NETWORK, Need.NETWORK_NAMESPACES},
        "b.file": {Need.CAP_SYS_ADMIN},
    }


def test_every_need_of_the_suite_is_some_clause_s():
    """A need that no clause seems to reach is one that cannot be followed from the test to where it is declared."""
    root = suite.location()
    declared = set().union(*map(source_needs.mentioned, root.rglob("*.py")))
    assert len(declared) > 30
    assert declared <= frozenset().union(*source_needs.by_clause(root).values())


UNPRIVILEGED = """
import sys
from pytest_ipc.kernel import CapabilitySets, capset
from pytest_ipc.cli import main

capset(CapabilitySets(0, 0, 0))
sys.exit(main(["check", "msg", "msgget.*", "limits", "--report", sys.argv[1]]))
"""


def test_untested_needs_are_declared_in_the_source(tmp_path):
    """Without capabilities, so that there is something to find."""
    report = tmp_path / "r.json"
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, report], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    needs = source_needs.by_clause(suite.location())
    found = [clause for clause in json.loads(report.read_text())["clauses"] if clause["verdict"] == "untested"]
    assert found
    for clause in found:
        assert Need(clause["need"]) in needs[clause["id"]], clause["id"]
