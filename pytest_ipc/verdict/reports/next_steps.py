"""What to do after a check: known expectations, the evidence of a deviation, the requirements of untested clauses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from ..result import SuiteResult
from . import expectations
from .expectations import Comparison

__all__ = ["best_known", "next_steps"]


def next_steps(
    result: SuiteResult,
    comparison: Comparison,
    report: Path | None,
    platform: Mapping[str, str] | None = None,
    *,
    name: str = "",
    check: str = "pytest-ipc check",
) -> list[str]:
    """Return a line for each sensible next command; *report* is the file with the result, if there is one.

    Of the bundled expectations those for a platform like this one are named first. *name* is that of a platform of
    --platform, and *check* the command that judges it.
    """
    steps = []
    deviating = [found.id for found in comparison.unexpected if found.verdict.verdict == "deviates"]
    if deviating:
        bundled, known, is_recognised = best_known(deviating, platform or {})
        if known * 2 >= len(deviating) or (is_recognised and known):
            those = "it" if len(deviating) == 1 else f"{known} of these {len(deviating)}"
            steps.append(f"--expect {bundled} knows {those}")
        if report is not None and name:
            steps.append(
                f"mkdir -p expected; pytest-ipc expect {report} -o expected/{name}.toml: accept the deviations, "
                "for check --expect expected"
            )
        elif report is not None:
            steps.append(
                f"pytest-ipc expect {report} -o FILE.toml: accept the deviations, for check --expect FILE.toml"
            )
        else:
            file = "DIRECTORY" if name else "FILE"
            steps.append(f"--report {file} keeps the result with the kernel calls before each deviation")
        steps.append(f"{check} -v {deviating[0]}: one clause again, with its evidence")
    if count := result.count("untested") + result.count("absent"):
        explain = "pytest-ipc platform" if report is None else f"pytest-ipc platform {report}"
        if report is None and name:  # without a report, the command is about this machine
            explain = f"--report DIRECTORY, then pytest-ipc platform DIRECTORY/{name}.json"
        clauses = "1 clause is" if count == 1 else f"{count} clauses are"
        steps.append(f"{explain}: why {clauses} untested or absent, and the remedy")
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
