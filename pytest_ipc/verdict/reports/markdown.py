"""The summary of a check in Markdown, for the page of a CI job or a comment: counts, then unexpected verdicts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from ..result import VERDICTS, ClauseResult
from .flag_names import named
from .judged import Judged
from .terminal import sentence

__all__ = ["as_markdown"]

# Bytes. GitHub shows no summary of a step beyond 1 MiB.
_MOST = 900_000

# Clauses named by id only, in one list.
_MOST_IDS = 200


def as_markdown(platforms: Sequence[Judged]) -> str:
    """Return the summary: what does not fit is counted, and in the report of the check."""
    parts, size, left = list[str](), 0, 0
    for part in _parts(platforms):
        size += len(part.encode("utf-8", "replace"))
        if size > _MOST:
            left += 1
        else:
            parts.append(part)
    return "".join(parts) + (f"\n{left} more parts are in the report of the check.\n" if left else "")


def _parts(platforms: Sequence[Judged]) -> Iterator[str]:
    yield "## Linux IPC conformance\n\n"
    shown = [word for word in reversed(VERDICTS) if word != "broken" or any(j.result.count(word) for j in platforms)]
    rows = [["platform", *shown, "time"], ["---", *("---:" for _ in shown), "---:"]]
    for judged in platforms:
        counts = ["" if judged.refusal else str(judged.result.count(word)) for word in shown]
        rows.append([_text(judged.name), *counts, f"{judged.seconds:.1f} s"])
    yield "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"
    for judged in platforms:
        name = f"**{_text(judged.name)}:** "
        if not judged.refusal:
            yield f"{name}{sentence(judged.result, judged.comparison)}\n\n"
        yield from (f"{name}{_text(text)}\n\n" for text in judged.failures())
    for judged in platforms:
        yield from _platform(judged)


def _platform(judged: Judged) -> Iterator[str]:
    wrong = [found for found in judged.result.results if judged.outcome(found) in ("failed", "broken")]
    if wrong:
        yield f"### {_text(judged.name)}: {len(wrong)} unexpected\n\n"
    yield from (_clause(found, judged.check) for found in wrong)
    if holding := judged.comparison.unexpectedly_holding:
        hold = "holds" if len(holding) == 1 else "hold"
        yield f"### {_text(judged.name)}: {len(holding)} unexpectedly {hold}\n\n{_ids(list(holding))}\n"
    if expected := judged.comparison.as_expected:
        yield _folded(f"{judged.name}: {len(expected)} as expected", _ids(list(expected)))


def _clause(found: ClauseResult, check: str) -> str:
    verdict = found.verdict
    lines = [f"{_text(found.statement)}."]
    if verdict.verdict == "deviates":
        lines += [f"- expected: {_text(verdict.expected)}", f"- observed: {_text(verdict.observed)}"]
    else:
        lines.append(f"- {_text(verdict.reason)}")
    lines.append(f"- again: {_in_line(f'{check} {found.id}')}")
    if verdict.evidence:
        lines += ["", _code("\n".join(map(named, verdict.evidence)))]
    return _folded(f"{found.id} {verdict.verdict}, {found.page}, {found.section}", "\n".join(lines))


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>\n\n{content}\n\n</details>\n\n"


def _ids(ids: list[str]) -> str:
    more = [f"- and {len(ids) - _MOST_IDS} more"] if len(ids) > _MOST_IDS else []
    return "\n".join([f"- `{id}`" for id in ids[:_MOST_IDS]] + more) + "\n"


def _code(text: str) -> str:
    """Return a code block; its fence is longer than any in the text."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 3)
    return f"{fence}\n{text}\n{fence}"


def _in_line(text: str) -> str:
    """Return code within a line."""
    text = " ".join(text.split())
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def _text(text: str) -> str:
    """Return plain text in one line, in which nothing is markup."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]#|~$@])", r"\\\1", text)
