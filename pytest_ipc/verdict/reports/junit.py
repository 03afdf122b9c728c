"""JUnit XML of a check: a test suite for each platform, a test case for each clause.

An unexpected verdict is a failure, an expected deviation is skipped with its reason, as absent, untested and disputed
clauses are. The properties of a test case are those that `pytest --junitxml` writes for a clause.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..result import ClauseResult
from .judged import Judged

__all__ = ["as_xml"]

# The characters that no XML 1.0 document may contain, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_xml(platforms: Sequence[Judged]) -> str:
    """Return the document."""
    root = Element("testsuites", name="pytest-ipc")
    for judged in platforms:
        outcomes = Counter(judged.outcome(found) for found in judged.result.results)
        suite = SubElement(
            root,
            "testsuite",
            name=_clean(judged.name),
            tests=str(outcomes.total() + len(judged.failures())),
            failures=str(outcomes["failed"]),
            errors=str(outcomes["broken"] + len(judged.failures())),
            skipped=str(outcomes["skipped"]),
            time=f"{judged.seconds:.3f}",
            timestamp=judged.started.isoformat(timespec="seconds"),
        )
        _properties(suite, judged.platform)
        for found in judged.result.results:
            _case(suite, judged, found)
        for text in judged.failures():
            case = SubElement(suite, "testcase", classname="pytest-ipc", name="the suite itself", time="0")
            SubElement(case, "error", message=_clean(text))
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, judged: Judged, found: ClauseResult) -> None:
    case = SubElement(suite, "testcase", classname=found.mechanism, name=found.id, time=f"{found.duration:.6f}")
    verdict = found.verdict
    facts = {
        "clause": found.id,
        "page": found.page,
        "section": found.section,
        "mechanism": found.mechanism,
        "statement": found.statement,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "expected": verdict.expected,
        "observed": verdict.observed,
        "evidence": "\n".join(verdict.evidence),
    }
    _properties(case, {name: value for name, value in facts.items() if value})
    element = {"failed": "failure", "broken": "error", "skipped": "skipped"}.get(judged.outcome(found))
    if element is not None:
        child = SubElement(case, element, type=verdict.verdict, message=_clean(judged.message(found)))
        child.text = _clean("\n".join(_lines(found))) if element != "skipped" else None


def _lines(found: ClauseResult) -> Iterator[str]:
    yield f"{found.page}, {found.section}: {found.statement}"
    yield from found.verdict.evidence


def _properties(parent: Element, facts: Mapping[str, str]) -> None:
    properties = SubElement(parent, "properties")
    for name, value in facts.items():
        SubElement(properties, "property", name=_clean(name), value=_clean(value))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
