"""The workflows of GitHub: no rights by default, and actions by commit. `tox -e workflows` looks further."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .package import stray

PROJECT = Path(__file__).parents[1]
WORKFLOWS = sorted((PROJECT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def unpinned(text: str) -> list[str]:
    """Return the actions that are not given by commit and version, unless the line says why it is not."""
    lines = [line.strip().removeprefix("- ") for line in text.splitlines() if re.search(r"\buses: ", line)]
    return [line for line in lines if not PINNED.match(line) and "zizmor: ignore" not in line]


@pytest.mark.skipif(not WORKFLOWS, reason="an sdist: it has no workflows")
def test_workflows_have_no_rights_by_default_and_use_commits():
    for path in [*WORKFLOWS, PROJECT / "action.yml"]:
        text = path.read_text()
        assert unpinned(text) == [], path.name
        assert "\npermissions: {}\n" in text or path.name == "action.yml", path.name
        assert "${{" not in "".join(re.findall(r"^ +run: .*|^ +run: [|>].*\n(?:\n| {10}.*\n)+", text, re.MULTILINE))


@pytest.mark.skipif(not WORKFLOWS, reason="an sdist: it has no workflows")
def test_documented_workflows_use_the_actions_of_the_projects_own():
    own, shown = (
        {line for path in paths for line in re.findall(r"uses: (actions/.*)", path.read_text())}
        for paths in (WORKFLOWS, (PROJECT / "docs").rglob("*.md"))
    )
    assert shown
    assert shown <= own


@pytest.mark.parametrize("planted", ["- uses: actions/checkout@v4", "  uses: a/b@main # v1.0.0"])
def test_action_by_name_is_found(planted):
    assert unpinned(f"steps:\n{planted}\n") == [planted.strip().removeprefix("- ")]


def test_names_that_do_not_belong_in_a_distribution_are_found():
    good = ["pytest_ipc/api.py", "pytest_ipc_conformance/shm/test_shmget.py", "docs/index.md"]
    bad = ["a/__pycache__/b.cpython-311.pyc", "pytest_ipc/api.py~", ".venv/bin/python", "x.egg-info/PKG-INFO"]
    assert stray([*good, *bad]) == bad
