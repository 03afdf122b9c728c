"""The one place where the outcome of a test becomes the verdict on a clause.

The verdict travels in the report's user_properties: they pass through pytest-xdist and into JUnit XML by themselves.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from ...kernel.errnos import errno_name
from ...kernel.libc import NOT_IN_LIBC
from ...kernel.version import kernel_is_older
from ...kernel.waiting import patience
from ..clause import ABSENT, Deviation, failure
from ..manual import source
from ..need import Need
from ..platform import means
from ..result import Verdict
from . import assertions, time_limit
from .limits_reached import limit_in_the_way, need_of
from .program_error import bug_of_program

__all__ = ["judge"]

_NOT_RAISED = re.compile(r"DID NOT RAISE (?:<class ')?([\w.]+)")  # pytest.raises

# The errnos of a failed creation that are the machine's and not the suite's: no space, no permission, no such socket
# family.
_LIMITS = {"EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EAGAIN", "EDQUOT", "EPERM", "EACCES", "EROFS", "EAFNOSUPPORT"}


def judge(item: pytest.Item, mark: pytest.Mark, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
    """Add the verdict of a phase of a clause's test to its report, if the phase decides one."""
    error = assertions.in_words(call.excinfo.value) if call.excinfo is not None else None
    if report.when == "teardown":
        assertions.end()
    if error is None and report.when != "call":
        return
    if report.when == "teardown" and ("verdict", "deviates") in item.user_properties:
        return  # a deviation may prevent the tear-down; it remains the verdict
    statement = statement_of(item)
    since, level = mark.kwargs.get("since"), mark.kwargs.get("level")
    verdict = _verdict(error, report.when, statement)
    if verdict.verdict == "deviates" and (bug := bug_of_program(call.excinfo.value if call.excinfo else None)):
        verdict = Verdict("broken", f"a program of the clause failed: {bug}")
    if verdict.verdict in ("broken", "deviates") and (lack := _lack(error, report.when, mark.args[1])):
        verdict = _untested(Need.FIXTURES, str(lack))
    if (seconds := time_limit.passed(item)) is not None:
        is_found = call.excinfo is not None and isinstance(call.excinfo.value, Deviation)
        verdict = verdict if is_found else _time_out(verdict, report.when, statement, seconds)
    if verdict.verdict == "deviates" and _is_older_than(since):
        verdict = _untested(Need.NEWER_KERNEL, f"the clause came with Linux {since}, this is {os.uname().release}")
    if verdict.verdict == "untested" and (path := _missing_file(mark, verdict.reason)):
        verdict = Verdict("absent", f"ENOENT: {path} is not there", need=Need.PROC_FILES.value)
    if verdict.verdict in ("absent", "untested"):
        # For pytest it is a skip, at the test's own line.
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"{verdict.verdict}: {verdict.reason}")
    came_from = source(mark.args[1], mark.args[2], statement, since, level)
    properties: list[tuple[str, object]] = [
        ("clause", mark.args[0]),
        ("page", mark.args[1]),
        ("section", mark.args[2]),
        ("manual", came_from.manual),
        ("level", came_from.level),
        ("since", came_from.since),
        ("mechanism", item.path.parent.name),
        ("statement", statement),
        ("verdict", verdict.verdict),
    ]
    properties += [
        (name, text) for name in ("reason", "need", "expected", "observed") if (text := getattr(verdict, name))
    ]
    if verdict.verdict == "deviates" and error is not None:
        from .evidence import evidence, trace

        properties.append(("evidence", "\n".join(evidence(item, error))))
        if found := trace(error):
            properties.append(("trace", found))
    report.user_properties.extend(properties)
    item.user_properties.extend(properties)  # JUnit XML is written from the last phase's report


def _is_older_than(since: str | None) -> bool:
    """Return whether this kernel is older than the one that introduced a clause, if that was a kernel."""
    return since is not None and since[0].isdigit() and kernel_is_older(since)


def _missing_file(mark: pytest.Mark, reason: str) -> str:
    """Return the missing file of /proc that a clause is about; "" if the file is only a means of the clause.

    Such a clause is absent, as with a missing call. Without a mounted /proc nothing is known about its files.
    """
    found = re.match(r"needs (/proc/(?:sys/|sysvipc|locks)[\w./-]*)", reason)
    if not found or not (mark.args[1].startswith(("proc", "kernel.rst")) or "/proc" in mark.args[2]):
        return ""
    return found[1] if os.path.exists("/proc/self/stat") and not os.path.lexists(found[1]) else ""


def statement_of(item: pytest.Item) -> str:
    """Return the clause's statement: the test's docstring on one line, without its full stop."""
    return " ".join((getattr(item, "obj", item).__doc__ or "").split()).rstrip(".")


def _verdict(error: BaseException | None, phase: str | None, statement: str) -> Verdict:
    if error is None:
        return Verdict("holds")
    text = _text(error)
    if isinstance(error, pytest.skip.Exception):
        # A fixture of this plugin skips in the handler of the error.
        skipped_for = _not_allowed(error.__context__) or getattr(error, "need", None) or Need.OTHER
        return _untested(skipped_for, text.removeprefix("untested: "))
    if isinstance(error, pytest.xfail.Exception):
        return Verdict("disputed", text.removeprefix("disputed: "))
    if isinstance(error, time_limit.TooSlow):
        return _untested(Need.TIME, f"needs a machine that is faster: {text}")
    if isinstance(error, OSError) and error.errno in ABSENT:
        missing = Need.LIBC_FUNCTIONS if NOT_IN_LIBC in str(error.strerror) else Need.SYSTEM_CALLS
        return Verdict("absent", f"{errno_name(error.errno)}: {error.strerror}", need=missing.value)
    if isinstance(error, NotImplementedError):
        return _untested(Need.ARCHITECTURE, text)
    if (lacking := _not_allowed(error)) is not None:
        return _untested(lacking, text)
    if limit := limit_in_the_way(error):
        return _untested(need_of(limit), limit)
    if isinstance(error, OSError) and (could_not_make(error) or phase == "setup"):
        text = f"could not be set up: {text}"
        return _untested(Need.RESOURCES, text) if errno_name(error.errno) in _LIMITS else Verdict("broken", text)
    if phase == "call":
        if isinstance(error, Deviation):
            return Verdict("deviates", str(error), error.expected, error.observed)
        if isinstance(error, (AssertionError, OSError, pytest.fail.Exception)) or _is_child_died(error):
            observed = _observed(error)
            return Verdict("deviates", observed, statement, observed)
    return Verdict("broken", f"{phase}: {type(error).__name__}: {text}")


def _lack(error: BaseException | None, phase: str | None, page: str) -> means.Lack | None:
    """Return the means that the platform refuses to the fixtures, without which the clause cannot be judged."""
    for lack in means.lacking():
        if lack.means is means.PROC:
            return lack
    is_setting_up = isinstance(error, OSError) and could_not_make(error)
    return means.lacking_for(error, phase, page, is_setting_up=is_setting_up)


def _time_out(verdict: Verdict, phase: str | None, statement: str, seconds: float) -> Verdict:
    """Return the verdict of a test that exceeded its time limit, even if it caught the exception."""
    if verdict.verdict in ("absent", "untested"):
        return verdict  # the test itself reported too much work
    if phase != "call":
        return _untested(Need.TIME, f"needs a machine that is faster: the {phase} did not end within {seconds:g} s")
    observed = f"it did not end within {seconds:g} s"
    return Verdict("deviates", observed, statement, observed)


def could_not_make(error: OSError) -> bool:
    """Return whether *error* comes from a factory's creation of an object, and not from the call under test."""
    from ...resource import COULD_NOT_MAKE

    return COULD_NOT_MAKE in getattr(error, "__notes__", ())


def _not_allowed(error: BaseException | None) -> Need | None:
    """Return the unmet need of a resource that this process may not create; None for other errors."""
    from ...resources.ipc_namespace import NotAllowedHere

    return Need(error.need) if isinstance(error, NotAllowedHere) else None


def _untested(need: Need, detail: str) -> Verdict:
    return Verdict("untested", detail, need=need.value)


def _is_child_died(error: BaseException) -> bool:
    from ...processes.started import ChildDied

    return isinstance(error, ChildDied)


def _observed(error: BaseException) -> str:
    """Return the observed behaviour in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return failure(error)
    if isinstance(error, AssertionError) and not str(error).strip():
        return "a condition of the test does not hold; the evidence has its line"
    if found := _NOT_RAISED.match(str(error)):
        return f"no {found[1]} was raised"
    longer = patience()
    how_long = f"; deadlines are {longer:.1f} times as long on this platform" if longer > 1.05 else ""
    return _text(error).partition(" its output was: ")[0] + (how_long if isinstance(error, TimeoutError) else "")


def _text(error: BaseException) -> str:
    """Return the text of the error, short enough for a line or two of a verdict."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400].rsplit(' ', 1)[0]} and so on"
