"""docs/manual.py reads pages by section, compares two releases, and names the clauses of changed sections."""

from __future__ import annotations

import gzip
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_ipc.verdict import suite
from pytest_ipc.verdict.manual import RELEASE

TOOL = Path(__file__).parents[1] / "docs" / "manual.py"

OLD = r"""
.TH getthing 2 2023-02-05 "Linux man-pages 1.0"
.SH NAME
getthing \- get a thing
.SH DESCRIPTION
.BR getthing ()
gets a thing.
If the flag
.B T_FIRST
is set, the first one is got.
.PP
The flags are:
.TP
.BR T_FIRST " (since Linux 2.6)"
Get the
.I first
thing.
.\" A remark that nobody reads.
.TP
.B T_LAST
Get the last thing.
.RS
.PP
Or none.
.RE
.PP
A thing may be got twice.
.SH ERRORS
.TP
.B EINVAL
.I flag
is invalid.
"""

# The same in other macros, fonts and lines, but for: T_LAST, EINVAL, and a new error.
NEW = r"""
.TH getthing 2 2026-06-05 "Linux man-pages 2.0"
.SH NAME
getthing \- get a thing
.SH DESCRIPTION
\fBgetthing\fP() gets a thing.
If the flag \fBT_FIRST\fP is set,
the first one is got.
.P
The flags are:
.TP
.BR T_FIRST " (since Linux 2.6)"
Get the \fIfirst\fP thing.
.TP
.B T_LAST
Get the last thing but one.
.RS
.P
Or none.
.RE
.P
A thing may be got twice.
.SH ERRORS
.TP
.B EINVAL
.I flag
is not valid.
.TP
.B EPERM
Nobody may get it.
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manual_pages", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def releases(tool, tmp_path):
    """Two releases of a manual of one page, which the newer has compressed, with another name of it."""
    for name, source in (("old", OLD), ("new", NEW)):
        folder = tmp_path / name / "usr" / "share" / "man" / "man2"
        folder.mkdir(parents=True)
        if name == "old":
            (folder / "getthing.2").write_text(source)
        else:
            (folder / "getthing.2.gz").write_bytes(gzip.compress(source.encode()))
        (folder / "getit.2").write_text(".so man2/getthing.2\n")
        (folder / "T_MOST.2const").write_text(source.replace("getthing", "T_MOST"))
    return tool.Manual(tmp_path / "old"), tool.Manual(tmp_path / "new")


def stated(id: str, section: str, page: str = "getthing(2)") -> suite.ClauseTest:
    return suite.ClauseTest(id, "thing", Path("test_thing.py"), "test", page, section, "It gets a thing")


def test_a_page_is_read_by_section(releases):
    page = releases[0].page("getthing(2)")
    assert page.sections["T_FIRST"] == ["T_FIRST (since Linux 2.6) Get the first thing."]
    assert page.sections["T_LAST"] == ["T_LAST Get the last thing.", "Or none."]
    assert page.sections["DESCRIPTION"] == [
        "getthing() gets a thing.",
        "If the flag T_FIRST is set, the first one is got.",
        "The flags are:",
        "A thing may be got twice.",
    ]
    assert page.release == "man-pages 1.0"


def test_a_page_is_found_by_each_of_its_names(releases):
    old, new = releases
    assert old.page("getit(2)").name == new.page("getit(2)").name == "getthing(2)"
    assert new.page("T_MOST(2const)").release == "man-pages 2.0"
    assert new.page("nothing(2)") is None
    assert (old.release, new.release) == ("man-pages 1.0", "man-pages 2.0")


def test_fonts_macros_and_line_breaks_are_ignored(tool, releases):
    assert list(tool.changes([stated("thing.first", "T_FIRST"), stated("thing.twice", "DESCRIPTION")], *releases)) == []


def test_changed_section_is_reported_with_its_clauses(tool, releases):
    clauses = [
        stated("thing.last", "T_LAST"),
        stated("thing.last-again", "T_LAST"),
        stated("thing.invalid", "EINVAL"),
        stated("thing.errors", "ERRORS"),
        stated("thing.first", "T_FIRST"),
    ]
    found = {change.clauses: (change.gone, change.new) for change in tool.changes(clauses, *releases)}
    assert found == {
        ("thing.last", "thing.last-again"): (("T_LAST Get the last thing.",), ("T_LAST Get the last thing but one.",)),
        ("thing.invalid",): (("EINVAL flag is invalid.",), ("EINVAL flag is not valid.",)),
        ("thing.errors",): (("EINVAL flag is invalid.",), ("EINVAL flag is not valid.", "EPERM Nobody may get it.")),
    }


def test_section_without_text_includes_its_subsections(releases):
    """ERRORS is a list of items: a clause that cites the heading belongs to all of them."""
    old, new = releases
    assert old.page("getthing(2)").find("ERRORS") == ["EINVAL flag is invalid."]
    assert len(new.page("getthing(2)").find("ERRORS")) == 2


def test_missing_page_is_reported(tool, releases):
    clauses = [stated("thing.perm", "EPERM"), stated("thing.first", "T_FIRST"), stated("no.page", "ERRORS", "none(2)")]
    old, new = ([*tool.missing(clauses, manual)] for manual in releases)
    assert old == [("thing.perm", "getthing(2)", "EPERM"), ("no.page", "none(2)", "")]
    assert new == [("no.page", "none(2)", "")]


def test_removed_page_has_changed(tool, releases):
    (releases[1].folder / "usr/share/man/man2/getthing.2.gz").unlink()
    newer = tool.Manual(releases[1].folder)
    (change,) = tool.changes([stated("it.moved", "T_LAST")], releases[0], newer)
    assert (change.gone, change.new) == (("T_LAST Get the last thing.", "Or none."), ())


@pytest.fixture(scope="module")
def installed(tool) -> list[Any]:
    """Return the available releases of the manual: the folders in PYTEST_IPC_MANUALS, and the system's pages."""
    folders = [Path(name) for name in os.environ.get("PYTEST_IPC_MANUALS", "").split(":") if name]
    return [tool.Manual(folder) for folder in (*folders, Path("/usr/share/man")) if folder.is_dir()]


def of_release(installed: list[Any], release: str) -> Any:
    found = [manual for manual in installed if manual.release == release]
    if not found:
        pytest.skip(f"needs the pages of {release}: PYTEST_IPC_MANUALS names no folder of them")
    return found[0]


def test_every_clause_is_where_it_says(tool, installed):
    manual = of_release(installed, RELEASE)
    ours = [clause for clause in suite.clauses(suite.location()) if clause.source.manual == RELEASE]
    assert list(tool.missing(ours, manual)) == []


def test_pages_of_clauses_have_not_changed(tool, installed):
    """In a newer release than that of the clauses, the clauses of changed sections are to be read again."""
    read = of_release(installed, RELEASE)
    newer = [manual for manual in installed if number(manual.release) > number(RELEASE)]
    if not newer:
        pytest.skip(f"needs the pages of a newer release than {RELEASE}: PYTEST_IPC_MANUALS names no folder of them")
    clauses = suite.clauses(suite.location())
    changed = [
        f"{change.page}, {change.section}: {' '.join(change.clauses)}"
        for change in tool.changes(clauses, read, newer[0])
    ]
    assert changed == [], f"read these again in {newer[0].release}"


def number(release: str) -> tuple[int, ...]:
    """Return a release as numbers that can be compared."""
    return tuple(int(part) for part in release.removeprefix("man-pages ").split(".") if part.isdigit())
