"""Every reason for which a clause is untested or absent has one row with its remedy, and every row is used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

import pytest_ipc
from pytest_ipc.kernel import libc
from pytest_ipc.resource import COULD_NOT_MAKE
from pytest_ipc.verdict import suite
from pytest_ipc.verdict.judge import outcome
from pytest_ipc.verdict.platform import means, source_reasons
from pytest_ipc.verdict.platform.needs import NEEDS, need_of


def reasons_of_the_suite() -> set[str]:
    return set().union(*source_reasons.asked(suite.location()).values())


def reasons_of_the_package() -> set[str]:
    """Return the reasons in the package: what is not permitted here, what is unknown of a machine."""
    package = Path(pytest_ipc.__file__).parent
    files = [*package.glob("resources/*.py"), *package.glob("kernel/abi/*.py")]
    return {
        reason
        for path in files
        for call in ("NotAllowedHere", "NotImplementedError")
        for reason in source_reasons.reasons(path, call)
    }


def reasons_of_the_judge() -> set[str]:
    """Return the reasons that outcome.py derives from errors."""
    missing = libc.function("no_such_function", None)
    with pytest.raises(OSError) as not_in_libc:
        missing()
    made = OSError(24, "Too many open files")
    made.add_note(COULD_NOT_MAKE)
    errors = [not_in_libc.value, OSError(38, "shmget: Function not implemented"), made]
    newer = {
        text.format("9.9", "6.1")
        for text in source_reasons.reasons(Path(outcome.__file__), "Verdict")
        if "came with Linux" in text
    }
    assert len(newer) == 1
    lacks = {str(means.Lack(found, 1)) for found in means._MEANS}
    return newer | lacks | {outcome._verdict(error, "call", "").reason for error in errors}


def rows_of(reason: str) -> list[str]:
    return [need.name for need in NEEDS if re.search(need.words, reason)]


def not_known_once(reasons: Iterable[str]) -> dict[str, list[str]]:
    return {reason: rows for reason in reasons if len(rows := rows_of(reason)) != 1}


def test_every_reason_has_one_row():
    every = reasons_of_the_suite() | reasons_of_the_package() | reasons_of_the_judge()
    assert len(every) > 90
    assert not_known_once(every) == {}


def test_new_reason_without_a_row_is_detected():
    assert not_known_once({"needs a thing that nobody has thought of"}) != {}
    assert need_of("needs a thing that nobody has thought of") is None


def test_every_row_is_used():
    every = reasons_of_the_suite() | reasons_of_the_package() | reasons_of_the_judge()
    assert {need.name for need in NEEDS} == {name for reason in every for name in rows_of(reason)}


def test_every_probed_need_is_needed_by_clauses():
    asked = {name for reason in reasons_of_the_suite() | reasons_of_the_judge() for name in rows_of(reason)}
    assert {need.name for need in NEEDS if need.lack is not None} - asked == set()
