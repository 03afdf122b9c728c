"""Compare two releases of the Linux manual, section by section, and name the clauses whose sections have changed.

    python docs/manual.py OLD NEW [--quiet]     # what has changed between them, and which clauses stand there
    python docs/manual.py NEW                   # the clauses whose page or section the release does not have

OLD and NEW are folders of manual pages, as `dpkg -x manpages-dev_6.20-2_all.deb FOLDER` makes them, or /usr/share/man.
The exit status is 1 where anything was found. Pages are compared by their sentences: fonts, macros and line breaks do
not count.
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from pytest_ipc.verdict import suite

# The escapes of characters in the source of a page, and those without a meaning.
_SIGNS = {r"\-": "-", r"\ ": " ", r"\~": " ", r"\e": "\\", r"\(aq": "'", r"\[aq]": "'", r"\(dq": '"', r"\[dq]": '"'} | {
    r"\[en]": "-",
    r"\(en": "-",
    r"\[em]": "-",
    r"\(em": "-",
    r"\[bu]": "*",
    r"\(bu": "*",
    r"\[ti]": "~",
    r"\(ti": "~",
    r"\[ha]": "^",
    r"\(ha": "^",
    r"\[+-]": "+-",
    r"\(ga": "`",
    r"\[rs]": "\\",
}
_SILENT = re.compile(r"\\f(?:\[[^]]*]|\(..|.)|\\[&%|^/,:]|\\s[-+]?\d")
_JOINING = {"BR", "RB", "BI", "IB", "IR", "RI"}  # these join their words without spaces
_WORDS = {"B", "I", "SM", "SB"}
_SENTENCE = re.compile(r"(?<=[.:;?!])\s+(?=[A-Z(\"'])")


@dataclass
class Page:
    """A manual page: its release, and by the names of its sections the sentences in each.

    A section is a heading, or an item of a list of terms within one, which goes by the term: "SHM_HUGETLB".
    """

    name: str
    release: str = ""
    sections: dict[str, list[str]] = field(default_factory=dict)

    def find(self, section: str) -> list[str] | None:
        """Return the sentences of a section, or None."""
        return self.sections.get(section)

    @property
    def whole(self) -> list[str]:
        """All sentences."""
        return [sentence for sentences in self.sections.values() for sentence in sentences]


class Manual:
    """A folder of manual pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        for path in sorted(path for path in folder.rglob("man*/*.*") if path.is_file()):
            name = path.name.removesuffix(".gz")
            stem, _, section = name.rpartition(".")
            self._files.setdefault(f"{stem}({section})", path)
            self._files.setdefault(
                f"{stem}({section[:1]})", path
            )  # proc(5) is proc.5, and sigevent(3) is sigevent.3type

    def page(self, name: str, depth: int = 3) -> Page | None:
        """Return a page by its name, as "shmget(2)"; None where the folder has none.

        A page that only names another is that one.
        """
        path = self._files.get(name)
        if path is None:
            return None
        source = _source(path)
        link = re.match(r"\.so man\w+/(\S+)\s*$", source)
        if link and depth:
            stem, _, section = link[1].removesuffix(".gz").rpartition(".")
            return self.page(f"{stem}({section})", depth - 1)
        return parse(name, source)

    @property
    def release(self) -> str:
        """What release the pages are of, as most of those that say so have it."""
        found: dict[str, int] = defaultdict(int)
        for path in list(self._files.values())[:200]:
            if match := re.search(r"^\.TH .*\"Linux (man-pages [\w.-]+)\"", _source(path), re.MULTILINE):
                found[match[1]] += 1
        return max(found, key=lambda release: found[release], default="an unknown release")


def _source(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode(errors="replace")


def parse(name: str, source: str) -> Page:
    """Return a page from its source."""
    page = Page(name)
    place, around = "", [""]  # the place of a line, and its place without the open items
    text: dict[str, list[str]] = defaultdict(list)
    order: list[str] = []
    term = False  # whether the next line is the term of an item

    within: dict[str, list[str]] = defaultdict(list)  # by heading, its items

    def begin(section: str, *, heading: bool = False) -> str:
        if section not in order:
            order.append(section)
        if not heading and section not in within[around[0]]:
            within[around[0]].append(section)
        return section

    for line in source.splitlines():
        macro, rest = _macro(line)
        if macro == "TH":
            release = re.search(r'"Linux (man-pages [^"]*)"', rest)
            page.release = release[1] if release else ""
        elif macro in ("SH", "SS"):
            place = begin(_plain(_unquoted(rest)), heading=True)
            around, term = [place], False
        elif macro == "RS":
            around.append(place)
        elif macro == "RE":
            place = around.pop() if len(around) > 1 else around[0]
        elif macro in ("TP", "TQ"):
            term = True
        elif macro in ("PP", "P", "LP", "HP"):
            place, term = around[-1], False
        elif macro == "IP" and rest:
            place = begin(_term(_plain(_arguments(rest)[0])) or around[-1])
        elif (said := _said(macro, rest)) is not None:
            if term:
                place, term = begin(_term(said) or around[-1]), False
            text[place].append(said)
    page.sections = {section: _sentences(" ".join(text[section])) for section in order}
    for heading, items in within.items():
        if not page.sections[heading]:
            page.sections[heading] = [sentence for item in items for sentence in page.sections[item]]
    return page


def _macro(line: str) -> tuple[str, str]:
    """Return the macro of a line and its arguments; no macro for text, "#" for what is a comment."""
    line = re.sub(r'\\".*', "", line) if not line.startswith((".", "'")) else re.sub(r'\s*\\".*', "", line)
    match = re.match(r"[.']\s*([A-Za-z]+)?\s?(.*)", line)
    if match is None:
        return "", line
    return match[1] or "#", match[2].strip()


def _said(macro: str, rest: str) -> str | None:
    """Return what a line says: text, or the words of a macro that sets them."""
    if not macro:
        return _plain(rest)
    if macro in _JOINING:
        return _plain("".join(_arguments(rest)))
    if macro in _WORDS or macro in ("UR", "MT", "MR"):
        return _plain(" ".join(_arguments(rest)))
    return None


def _arguments(rest: str) -> list[str]:
    """Return the arguments of a macro, of which quotes hold some together."""
    return [quoted or bare for quoted, bare in re.findall(r'"((?:[^"]|"")*)"|((?:\\ |\S)+)', rest)]


def _unquoted(rest: str) -> str:
    return " ".join(_arguments(rest))


def _plain(text: str) -> str:
    text = _SILENT.sub("", text)
    for sign, stands_for in _SIGNS.items():
        text = text.replace(sign, stands_for)
    return text


def _term(said: str) -> str:
    """Return the name of an item, without a remark in parentheses: "SHM_INFO" for "SHM_INFO (Linux-specific)"."""
    name = re.sub(r"\s+\(.*", "", said).strip()
    return "" if name in ("*", "-", "") or re.fullmatch(r"\(?[0-9a-z.]{1,3}\)?", name) else name


def _sentences(text: str) -> list[str]:
    return [sentence for part in _SENTENCE.split(" ".join(text.split())) if (sentence := part.strip())]


@dataclass(frozen=True)
class Change:
    """A section that is another in the newer release: the clauses that stand there, what was, what is."""

    page: str
    section: str
    clauses: tuple[str, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]


def changes(clauses: Iterable[suite.ClauseTest], old: Manual, new: Manual) -> Iterator[Change]:
    """Yield the sections that clauses stand in and that differ between two releases.

    A section that neither names is its page.
    """
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clause in clauses:
        by_place[clause.page, clause.section].append(clause.id)
    for (name, section), ids in sorted(by_place.items()):
        before, after = old.page(name), new.page(name)
        was = (before.find(section) or before.whole) if before else []
        now = (after.find(section) or after.whole) if after else []
        gone, came = _differences(was, now)
        if gone or came:
            yield Change(name, section, tuple(ids), gone, came)


def _differences(was: list[str], now: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    gone: list[str] = []
    new: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if kind != "equal":
            gone += was[a:b]
            new += now[c:d]
    moved = set(gone) & set(new)
    return tuple(s for s in gone if s not in moved), tuple(s for s in new if s not in moved)


def missing(clauses: Iterable[suite.ClauseTest], manual: Manual) -> Iterator[tuple[str, str, str]]:
    """Return the clauses whose page or section a release lacks: id, page, section (empty without the page)."""
    for clause in clauses:
        page = manual.page(clause.page)
        if page is None:
            yield clause.id, clause.page, ""
        elif page.find(clause.section) is None:
            yield clause.id, clause.page, clause.section


def main(arguments: list[str] | None = None) -> int:
    """Say what was found."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="A folder of manual pages; two to compare"
    )
    parser.add_argument("--quiet", action="store_true", help="Name the clauses, and do not quote the sentences")
    options = parser.parse_args(arguments)
    clauses = suite.clauses(suite.location())
    manuals = [Manual(folder) for folder in options.folders[:2]]
    if len(manuals) == 1:
        found = list(missing(clauses, manuals[0]))
        for id, page, section in found:
            print(f"{id}: {manuals[0].release} has no {section or 'such page'}{' in' if section else ':'} {page}")
        return 1 if found else 0
    print(f"from {manuals[0].release} to {manuals[1].release}")
    differing = list(changes(clauses, *manuals))
    for change in differing:
        print(f"\n{change.page}, {change.section}: {' '.join(change.clauses)}")
        if not options.quiet:
            for sign, sentences in (("-", change.gone), ("+", change.new)):
                print(*(f"  {sign} {sentence}" for sentence in sentences), sep="\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
