"""What to do after a check: known expectations, the evidence of a deviation, the requirements of untested clauses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ..result import SuiteResult
from . import expectations
from .expectations import Comparison

__all__ = ["best_known", "next_steps"]


def next_steps(
    result: SuiteResult, comparison: Comparison, report: Path | None, platform: Mapping[str, str] | None = None
) -> list[str]:
    """Return a line for each sensible next command; *report* is the file with the result, if there is one.

    Of the bundled expectations those for a platform like this one are named first.
    """
    steps = []
    deviating = [found.id for found in comparison.unexpected if found.verdict.verdict == "deviates"]
    if deviating:
        name, known, is_recognised = best_known(deviating, platform or {})
        if known * 2 >= len(deviating) or (is_recognised and known):
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


def best_known(deviating: Collection[str], platform: Mapping[str, str]) -> tuple[str, int, bool]:
    """Return the bundled expectations that fit: name, how many of the clauses *deviating* they know, if for *platform*.

    Those for such a platform come before others that know more.
    """
    kernel = platform.get("kernel", "")
    found = [
        (expectations.recognised(path, platform), _known(path, deviating, kernel), name)
        for name, path in expectations.bundled().items()
    ]
    is_recognised, known, name = max(found, key=lambda each: (each[0] and each[1] > 0, each[1]))
    return name, known, is_recognised


def _known(path: Path, deviating: Collection[str], kernel: str) -> int:
    expected = expectations.read(path)
    meant = (expected[id].on(kernel) for id in deviating if id in expected)
    return sum(expectation is not None and expectation.verdict == "deviates" for expectation in meant)
