"""What to do after a check: known expectations, the evidence of a deviation, the requirements of untested clauses."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..result import SuiteResult
from . import expectations
from .expectations import Comparison

__all__ = ["best_known", "next_steps"]


def next_steps(result: SuiteResult, comparison: Comparison, report: Path | None) -> list[str]:
    """Return a line for each sensible next command; *report* is the file with the result, if there is one."""
    steps = []
    deviating = [found.id for found in comparison.unexpected if found.verdict.verdict == "deviates"]
    if deviating:
        name, known = best_known(deviating)
        if known * 2 >= len(deviating):
            those = "it" if len(deviating) == 1 else f"{known} of these {len(deviating)}"
            steps.append(f"--expect {name} knows {those}")
        if report is not None:
            steps.append(
                f"pytest-ipc expect {report} -o FILE.toml: accept the deviations, for check --expect FILE.toml"
            )
        else:
            steps.append("--report FILE keeps the result with the kernel calls before each deviation")
        steps.append(f"pytest-ipc check -v {deviating[0]}: one clause again, with its evidence")
    if count := result.count("untested") + result.count("absent"):
        where = f" {report}" if report is not None else ""
        clauses = "1 clause is" if count == 1 else f"{count} clauses are"
        steps.append(f"pytest-ipc platform{where}: why {clauses} untested or absent, and the remedy")
    return steps


def best_known(deviating: Collection[str]) -> tuple[str, int]:
    """Return the bundled expectations that know most of the clauses *deviating*, and how many they know."""
    names = expectations.bundled()
    return max(((name, _known(path, deviating)) for name, path in names.items()), key=lambda found: found[1])


def _known(path: Path, deviating: Collection[str]) -> int:
    expected = expectations.read(path)
    return sum(id in expected and expected[id].verdict == "deviates" for id in deviating)
