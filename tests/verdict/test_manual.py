"""The sources of clauses: the release they were read against, their level, and the version that introduced them."""

from __future__ import annotations

import pytest

from pytest_ipc.verdict import manual, suite
from pytest_ipc.verdict.manual import RELEASE, source

CLAUSES = suite.clauses(suite.location())


def is_posix(page: str) -> bool:
    return page.endswith("(3p)") or page == "POSIX.1-2024"


def test_every_page_has_a_row():
    """A missing page must be added to verdict/manual.py, with its level and its release."""
    known = {*manual._pages(), *manual._ELSEWHERE}
    assert sorted({clause.page for clause in CLAUSES if not is_posix(clause.page)} - known) == []


def test_every_row_is_used():
    assert sorted({*manual._pages(), *manual._ELSEWHERE} - {clause.page for clause in CLAUSES}) == []


def test_every_row_has_the_form_of_its_kind():
    for page, (level, since) in manual._pages().items():
        assert level in manual.LEVELS, page
        assert not since or since[0].isdigit() or since.startswith("glibc "), page


@pytest.mark.parametrize(
    ("page", "section", "statement", "found"),
    [
        ("shmget(2)", "ERRORS", "IPC_EXCL fails when the key has a segment", (RELEASE, "posix", "")),
        ("shmget(2)", "DESCRIPTION", "A segment made with SHM_NORESERVE is used", (RELEASE, "linux", "")),
        ("shmctl(2)", "SHM_INFO", "It counts segments", (RELEASE, "linux", "")),
        ("eventfd(2)", "DESCRIPTION", "A counter", (RELEASE, "linux", "Linux 2.6.22, glibc 2.8")),
        ("pthread_sigqueue(3)", "ERRORS", "It is refused", (RELEASE, "glibc", "glibc 2.11")),
        ("fcntl_locking(2)", "ERRORS", "F_OFD_SETLK fails", (RELEASE, "posix", "")),
        ("popen(3p)", "DESCRIPTION", "Earlier streams are closed", ("POSIX.1-2024", "posix", "")),
        ("ipcs(1)", "OPTIONS", "It lists", ("util-linux 2.42", "linux", "")),
    ],
)
def test_source_depends_on_page_section_and_statement(page, section, statement, found):
    came_from = source(page, section, statement)
    assert (came_from.manual, came_from.level, came_from.since) == found


def test_clause_overrides_the_table():
    assert source("shmget(2)", "S", "SHM_HUGETLB", "2.6.9", "posix") == manual.Source(RELEASE, "posix", "Linux 2.6.9")
    assert source("eventfd(2)", "S", "", "glibc 2.99").since == "glibc 2.99"


def test_most_clauses_of_a_posix_page_have_level_posix():
    """Otherwise too many words mark a statement as specific to Linux."""
    of_page = [clause.source.level for clause in CLAUSES if clause.page == "semop(2)"]
    assert of_page.count("posix") > len(of_page) / 2
