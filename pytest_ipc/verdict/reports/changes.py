"""The differences between two reports of one platform: verdicts and description."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..result import Verdict
from .matrix import INCIDENTAL, Matrix
from .reader import Report

__all__ = ["Change", "Step", "step", "steps"]


@dataclass(frozen=True)
class Change:
    """A changed verdict; None if a report did not judge the clause. `kind`: worse, better, changed, new or gone."""

    id: str
    before: Verdict | None
    after: Verdict | None

    @property
    def kind(self) -> str:
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        if self.after.verdict == "deviates":
            return "worse"
        if self.before.verdict == "deviates" and self.after.verdict in ("holds", "disputed"):
            return "better"
        return "changed"


@dataclass(frozen=True)
class Step:
    """The differences of a report from the one before; `platform` has the changed parts of the description by name."""

    before: Report
    after: Report
    platform: dict[str, tuple[str, str]]
    changes: list[Change]

    def of_kind(self, kind: str) -> list[Change]:
        """Return the changes of a kind."""
        return [change for change in self.changes if change.kind == kind]


def steps(matrix: Matrix) -> list[Step]:
    """Return the differences between successive reports of *matrix*, from the oldest on."""
    return [step(before, after) for before, after in pairwise(matrix.reports)]


def step(before: Report, after: Report) -> Step:
    """Return the differences of a report from the one before."""
    mine, yours = before.platform | {"pytest-ipc": before.suite}, after.platform | {"pytest-ipc": after.suite}
    names = [name for name in dict.fromkeys([*mine, *yours]) if name not in INCIDENTAL]
    platform = {
        name: (mine.get(name, "unknown"), yours.get(name, "unknown"))
        for name in names
        if mine.get(name) != yours.get(name)
    }
    changes = [
        Change(id, was, now)
        for id in sorted(before.verdicts.keys() | after.verdicts.keys())
        if _word(was := before.verdicts.get(id)) != _word(now := after.verdicts.get(id))
    ]
    return Step(before, after, platform, changes)


def _word(found: Verdict | None) -> str | None:
    return found.verdict if found is not None else None
