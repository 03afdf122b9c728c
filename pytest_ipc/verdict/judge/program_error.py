"""Errors of the programs that a clause runs: which of them are bugs of the suite, not answers of the platform."""

from __future__ import annotations

import builtins
import re

__all__ = ["bug_of_program"]

# Where Python's report of an exception begins; that of a SyntaxError has no "Traceback". pytest indents it in an
# assertion.
_REPORT = re.compile(r'^ *(?:Traceback \(most recent call last\):|File "<string>", line \d+)$', re.MULTILINE)
_LAST_LINE = re.compile(r"^ *((\w+)(?:: .*)?)$", re.MULTILINE)
# The exceptions of a program that are about the platform; others are bugs, as in a test.
_ANSWERS = (AssertionError, OSError, MemoryError)


def bug_of_program(error: BaseException | None) -> str:
    """Return the last line of the traceback that *error* quotes from a program.

    "" if there is none, or it is an answer.
    """
    text = str(error)
    begin = _REPORT.search(text)
    if begin is None:
        return ""
    raised = [(found[1], getattr(builtins, found[2], None)) for found in _LAST_LINE.finditer(text, begin.end())]
    for line, kind in reversed(raised):
        if isinstance(kind, type) and issubclass(kind, Exception):
            return "" if issubclass(kind, _ANSWERS) else line
    return ""
