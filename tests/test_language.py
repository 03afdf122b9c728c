"""The language of the package and its documentation: the field's words instead of the project's former ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import foreign

PROJECT = Path(__file__).parents[1]

# Patterns without a legitimate use, and the words to use instead. docs/glossary.md has the defined terms.
WORDS = {
    r"actors?": "child or program",
    r"ordinary users?": "unprivileged user",
    r"told|tells|(?<!\.)tell": "reports, shows",
    r"tid(y|ies|ied)( up)?": "clean up",
    r"clear(s|ed|ing)? (up|away)": "clean up",
    r"mend(s|ed)?": "fix",
    r"liars?": "fault, interposer",
    r"healed": "unexpectedly holds",
    r"reckonings?": "comparison",
    r"cables?": "veth pair",
    r"abroad": "remote, in another namespace",
    r"left (behind|alone)": "leaked; not touched",
    r"(?<!there )(?:is|are) no (?!longer\b|more\b)[a-z]+": "is not a valid …",
    r"what there is": "the objects",
}
PATTERN = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)


def texts() -> Iterator[Path]:
    yield from sorted((PROJECT / "pytest_ipc").rglob("*.py"))
    # Ids in docs/clauses.md are stable, also those with old words.
    yield from (page for page in sorted((PROJECT / "docs").rglob("*.md")) if page.name != "clauses.md")
    yield PROJECT / "README.md"
    yield from sorted(path for path in (PROJECT / "examples").rglob("*") if path.suffix in (".py", ".md", ".c", ".h"))


def found(text: str) -> list[str]:
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if PATTERN.search(line)]


def test_texts_use_the_words_of_the_field():
    lines = {str(path.relative_to(PROJECT)): found(path.read_text(encoding="utf-8")) for path in texts()}
    assert {path: old for path, old in lines.items() if old} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "An actor runs one function.",
        "user namespaces for ordinary users",
        "The kernel tells who created it.",
        "Nobody can tell whose it is.",
        "which nobody has tidied up",
        "7 is no signal number",
        "two hosts joined by a cable",
    ],
)
def test_planted_word_is_found(planted):
    assert found(f"A child.\n{planted}\n") == [f"2: {planted}"]


@pytest.mark.parametrize(
    "text", ["it is no longer used", "there is no reader", "a factory", "file.tell()", "the number of processes"]
)
def test_legitimate_word_is_accepted(text):
    assert found(text) == []


def test_tests_that_fail_under_an_emulator_exist():
    """A renamed test would no longer be excluded by its name."""
    names = {name for machine in foreign.KNOWN.values() for name in machine}
    defined = re.findall(
        r"^def (test_\w+)", "\n".join(p.read_text() for p in (PROJECT / "tests/kernel").glob("*.py")), re.MULTILINE
    )
    assert names - set(defined) == set()
