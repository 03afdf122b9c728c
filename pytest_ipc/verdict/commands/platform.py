"""pytest-ipc platform: what this machine is and permits, which clauses that leaves untested, and what would change it.

There are two sources. A report contains the needs of untested and absent clauses; without one, each need is probed
here, and the source of the suite shows the clauses that have it (source_needs.py). The rows of needs.py explain both.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...kernel.proc_limits import Limit
    from ..need import Need

__all__ = ["add"]

_TEXT = """\
Describe this machine as in a report: kernel, libc, container, privileges, limits; then the unmet needs of the suite,
their clauses, and the remedy. Each need is probed in a throw-away child process.

Only a run decides which clauses are untested. With a REPORT of `pytest-ipc check --report`, of this machine or
another, its untested and absent clauses are explained instead, by need.
"""

_EXAMPLES = """\
examples:
  pytest-ipc platform                  this machine
  pytest-ipc platform --ids            with the ids of the clauses
  pytest-ipc platform here.json        why its clauses are untested or absent, and the remedies
  pytest-ipc platform --json needs.json
  docker run IMAGE pytest-ipc platform the restrictions of a container

exit status:
  0  shown    2  usage error or invalid report
"""

_NO_REMEDY = "no remedy is known for this; reports of older versions name no needs"


@dataclass
class _Lack:
    """An unmet need: the reasons given, and their clauses."""

    name: str
    change: str
    said: dict[str, list[str]] = field(default_factory=dict)
    need: Need | None = None

    def ids(self) -> list[str]:
        """Return the clauses, each once."""
        return sorted({id for ids in self.said.values() for id in ids})


@dataclass
class _Diagnosis:
    """The diagnosis of a platform: `untried` are needs that only a run can probe, `uses` those with a fallback."""

    platform: dict[str, str]
    limits: list[Limit]
    lacks: list[_Lack]
    mechanisms: dict[str, str]  # by clause
    there: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    uses: list[tuple[str, str, str, str]] = field(default_factory=list)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "platform",
        help="Show the unmet needs of clauses on this machine, and their remedies",
        description=_TEXT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("report", nargs="?", type=Path, metavar="REPORT", help="A report of check --report")
    parser.add_argument("--ids", action="store_true", help="Also show the ids of the clauses")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="Write the result to FILE as JSON, or to the terminal for -, and show nothing else",
    )
    parser.set_defaults(command=_platform)


def _platform(options: argparse.Namespace) -> int:
    from ..command_error import writing
    from ..reports import atomic

    found = _of_this_machine() if options.report is None else _of_report(options.report)
    if options.json is None:
        for line in (_report_lines if options.report else _machine_lines)(found, options.ids):
            print(line)
        return 0
    text = json.dumps(_as_json(found), indent=1) + "\n"
    if str(options.json) == "-":
        sys.stdout.write(text)
        return 0
    with writing("the result", options.json):
        atomic.write(options.json, text)
    return 0


def _of_this_machine() -> _Diagnosis:
    """Probe this machine. CommandError without the suite."""
    from ...kernel.proc_limits import limits
    from .. import suite
    from ..platform import source_needs
    from ..platform.describe import describe
    from ..platform.needs import NEEDS, USES

    root = suite.location()
    asking_for: dict[Need, list[str]] = {}
    for id, needs in source_needs.by_clause(root).items():
        for need in needs:
            asking_for.setdefault(need, []).append(id)
    found = _Diagnosis(
        describe(), list(limits().values()), [], {clause.id: clause.mechanism for clause in suite.clauses(root)}
    )
    for need, row in NEEDS.items():
        if row.lack is None:
            found.untried.append(row.name)
        elif said := _tried(row.lack):
            found.lacks.append(_Lack(row.name, row.change, {said: asking_for.get(need, [])}, need))
        else:
            found.there.append(row.name)
    found.uses = [(use.name, said, use.without, use.change) for use in USES if (said := _tried(use.lack))]
    return found


def _tried(lack: Callable[[], str]) -> str:
    try:
        return lack()
    except OSError as error:  # no child can be created, or no descriptor is free
        return f"cannot be tried: {error.strerror}"


def _of_report(path: Path) -> _Diagnosis:
    """Explain a report. ReportError."""
    from ..platform.needs import NEEDS
    from ..reports.reader import Reader

    reader = Reader()
    report = reader.read(path)
    lacks: dict[str, _Lack] = {}
    rows = {need.value: (need, row) for need, row in NEEDS.items()}
    for id, verdict in report.verdicts.items():
        if verdict.verdict in ("untested", "absent"):
            if verdict.need in rows:
                need, row = rows[verdict.need]
                lack = _Lack(row.name, row.change, {}, need)
            else:
                lack = _Lack(verdict.need or "needs that are not recorded", _NO_REMEDY)
            lacks.setdefault(lack.name, lack).said.setdefault(verdict.reason, []).append(id)
    ordered = sorted(lacks.values(), key=lambda lack: -len(lack.ids()))
    return _Diagnosis(report.platform, [], ordered, {id: reader.clauses[id].mechanism for id in report.verdicts})


def _machine_lines(found: _Diagnosis, ids: bool) -> Iterator[str]:
    yield from _platform_lines(found.platform)
    yield ""
    yield from _limit_lines(found.limits)
    yield ""
    yield f"Met needs: {', '.join(found.there) or 'none'}."
    yield f"Needs that only a run can probe: {', '.join(found.untried)}."
    for name, said, without, change in found.uses:
        yield ""
        yield f"{name}: {said}"
        yield f"    without it: {without}"
        yield f"    remedy: {change}"
    for lack in found.lacks:
        yield from _lack_lines(found, lack, ids)
    yield ""
    concerned = {id for lack in found.lacks for id in lack.ids()}
    yield (
        f"Unmet needs leave at most {len(concerned)} of {_clauses(len(found.mechanisms))} untested here. "
        "A run shows the untested clauses and their reasons:"
    )
    yield "    pytest-ipc check --report here.json; pytest-ipc platform here.json"


def _report_lines(found: _Diagnosis, ids: bool) -> Iterator[str]:
    yield from _platform_lines(found.platform)
    for lack in found.lacks:
        yield from _lack_lines(found, lack, ids)
    yield ""
    count = sum(len(lack.ids()) for lack in found.lacks)
    total = _clauses(len(found.mechanisms))
    yield f"{count} of {total} of the report {'is' if count == 1 else 'are'} untested or absent."


def _platform_lines(platform: dict[str, str]) -> Iterator[str]:
    for name, text in platform.items():
        yield f"{name:<13} {text}"


def _limit_lines(limits: list[Limit]) -> Iterator[str]:
    rows = [(limit.name, _value(limit), limit.unit, limit.reason or limit.source, limit.page) for limit in limits]
    name, value, unit, source, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for row in rows:
        yield f"{row[0]:<{name}}  {row[1]:>{value}}  {row[2]:<{unit}}  {row[3]:<{source}}  {row[4]}"


def _lack_lines(found: _Diagnosis, lack: _Lack, ids: bool) -> Iterator[str]:
    yield ""
    concerned = lack.ids()
    by_mechanism = Counter(found.mechanisms[id] for id in concerned)
    counts = ", ".join(f"{mechanism} {count}" for mechanism, count in sorted(by_mechanism.items()))
    yield f"{lack.name}: {_clauses(len(concerned))}{f' ({counts})' if counts else ''}"
    for said, those in sorted(lack.said.items(), key=lambda entry: -len(entry[1])):
        yield f"    {said}" + (f" ({len(those)})" if len(lack.said) > 1 else "")
        if ids:
            yield from (f"        {id}" for id in sorted(those))
    yield f"    remedy: {lack.change}"


def _clauses(count: int) -> str:
    return f"{count} clause{'' if count == 1 else 's'}"


def _value(limit: Limit) -> str:
    if limit.value is None:
        return "unknown"
    return "no limit" if math.isinf(limit.value) else str(limit.value)


def _as_json(found: _Diagnosis) -> dict[str, Any]:
    from ..._version import __version__

    return {
        "pytest-ipc": __version__,
        "platform": found.platform,
        "limits": [_limit_as_json(limit) for limit in found.limits],
        "there": found.there,
        "untried": found.untried,
        "lacking": [
            {
                "need": lack.need.value if lack.need is not None else None,
                "name": lack.name,
                "said": [{"reason": said, "clauses": sorted(ids)} for said, ids in lack.said.items()],
                "change": lack.change,
            }
            for lack in found.lacks
        ],
        "without": [
            {"name": name, "reason": said, "without": without, "change": change}
            for name, said, without, change in found.uses
        ],
    }


def _limit_as_json(limit: Limit) -> dict[str, Any]:
    """Return a limit for JSON: `value` is null without one, and `unlimited` or `reason` says why."""
    endless = limit.value is not None and math.isinf(limit.value)
    return {
        "name": limit.name,
        "value": None if endless else limit.value,
        "unlimited": endless,
        "unit": limit.unit,
        "source": limit.source,
        "page": limit.page,
        "reason": limit.reason,
    }
