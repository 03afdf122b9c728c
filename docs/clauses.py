"""Write docs/clauses.md: every clause with its manual page, and whether LTP or gVisor's own tests cover it.

    python docs/clauses.py [--check]

The clauses are read from the suite. inventory.tsv has the coverage of each documented sentence, as found by reading
the sources of both suites at COMPARED: `id`, of a clause or of a sentence with several, `ltp` and `gvisor`, a key of
COVERED, and `stands`, the clauses of the sentence if they have other ids, or the reason that it has none. With --check
nothing is written; the exit status is 1 if the page is not up to date.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_ipc.verdict import suite
from pytest_ipc.verdict.manual import RELEASE

HERE = Path(__file__).parent
PAGE = HERE / "clauses.md"
COVERED = {"y": "yes", "p": "in part", "n": "no", "O": "Open POSIX tests", "": "?"}
COMPARED = "LTP 695827725 of 2026-08-20 and gVisor 3c5eee17d of 2026-08-21"


@dataclass(frozen=True)
class Sentence:
    """A line of the inventory: `stands` are the clauses of the sentence, `why` the reason that there is none."""

    id: str
    ltp: str
    gvisor: str
    stands: tuple[str, ...]
    why: str


def inventory() -> list[Sentence]:
    """Return the inventory, in its own order."""
    with open(HERE / "inventory.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = []
    for row in rows:
        not_there, _, why = row["stands"].partition("none: ")
        stands = () if why else tuple((not_there or row["id"]).split())
        found.append(Sentence(row["id"], row["ltp"], row["gvisor"], stands, why))
    return found


def neither(clauses: Iterable[suite.ClauseTest], covered: Mapping[str, Sentence]) -> int:
    """Return the number of clauses that both suites do not cover, not even in part."""
    found = [covered[clause.id] for clause in clauses if clause.id in covered]
    return sum(sentence.ltp == sentence.gvisor == "n" for sentence in found)


def totals(by_mechanism: Mapping[str, Sequence[suite.ClauseTest]], covered: Mapping[str, Sentence]) -> list[str]:
    """Return the lines of the table of mechanisms: how many clauses each suite covers, and how many neither covers."""
    lines = [
        "| mechanism | clauses | LTP | LTP in part | gVisor | gVisor in part | neither |",
        "|---|---|---|---|---|---|---|",
    ]
    everything = [clause for those in by_mechanism.values() for clause in those]
    for name, those in [*sorted(by_mechanism.items()), ("all", everything)]:
        found = [covered[clause.id] for clause in those if clause.id in covered]
        ltp, gvisor = Counter(sentence.ltp for sentence in found), Counter(sentence.gvisor for sentence in found)
        facts = (len(those), ltp["y"] + ltp["O"], ltp["p"], gvisor["y"], gvisor["p"], neither(those, covered))
        lines.append(f"| {name} | {' | '.join(map(str, facts))} |")
    return [*lines, ""]


def page() -> str:
    """Return the page's text."""
    clauses = suite.clauses(suite.location())
    sentences = inventory()
    covered: dict[str, Sentence] = {id: sentence for sentence in sentences for id in sentence.stands}
    by_mechanism: dict[str, list[suite.ClauseTest]] = defaultdict(list)
    for clause in clauses:
        by_mechanism[clause.mechanism].append(clause)
    uncompared = sum(
        clause.id not in covered or "" in (covered[clause.id].ltp, covered[clause.id].gvisor) for clause in clauses
    )
    lines = [
        "# The clauses",
        "",
        f"{len(clauses)} clauses, each with a sentence of a manual page, a test and a verdict. The last two",
        "columns show whether the Linux Test Project and gVisor's tests (test/syscalls/linux) cover the sentence:",
        "`yes` if a test asserts it, `in part` if a test asserts a part of it, `no` if none does, `Open POSIX tests`",
        "if in LTP only its copy of the Open POSIX Test Suite does, `?` if that is not established. They were read in",
        f"{COMPARED}; of the first 675 sentences in docs/inventory.tsv the revisions are not on record.",
        f"Neither covers {neither(clauses, covered)} of the clauses, and {uncompared} are uncompared.",
        "",
        f"The manual pages are of {RELEASE}, unless another document is named. The level is that of the promise:",
        "`posix` for every conforming system, `linux` for the kernel, `glibc` for that libc; `since` is the kernel or",
        "libc that introduced the behaviour, if the page names it.",
        "",
        "`pytest-ipc check NAME` runs the clauses of a mechanism, of one id, or of a pattern of ids.",
        "",
        "The Open POSIX tests count as LTP's in this table:",
        "",
        *totals(by_mechanism, covered),
    ]
    for mechanism, those in sorted(by_mechanism.items()):
        lines += [
            f"## {mechanism}: {len(those)} clauses",
            "",
            "| clause | statement | manual | level | since | LTP | gVisor |",
            "|---|---|---|---|---|---|---|",
        ]
        for clause in those:
            sentence = covered.get(clause.id)
            ltp, gvisor = (COVERED[sentence.ltp], COVERED[sentence.gvisor]) if sentence else ("", "")
            statement = clause.statement.replace("|", "\\|")
            where = f"{clause.page}, {clause.section}"
            if clause.source.manual != RELEASE:
                where += f" ({clause.source.manual})"
            facts = (f"`{clause.id}`", statement, where, clause.source.level, clause.source.since, ltp, gvisor)
            lines.append(f"| {' | '.join(facts)} |")
        lines.append("")
    left_out = [sentence for sentence in sentences if sentence.why]
    if left_out:
        lines += ["## Documented, and not tested", "", "| sentence | why |", "|---|---|"]
        lines += [f"| `{sentence.id}` | {sentence.why} |" for sentence in left_out]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Write the page, or report whether it is up to date."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("docs/clauses.md is up to date" if current else "docs/clauses.md is not: run python docs/clauses.py")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
