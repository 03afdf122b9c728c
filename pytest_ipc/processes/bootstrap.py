"""The life of a forked child: prepare it, run its function, write its report, leave by os._exit."""

from __future__ import annotations

import faulthandler
import os as current_os
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from ..custody import ledger
from ..custody.descendants import mark_self
from ..custody.identity import set_tag
from ..kernel import libc
from ..kernel.process import PR_SET_PDEATHSIG, prctl
from ..unpatched import io, os, signal
from . import child_report
from .inheritance import close_runners

if TYPE_CHECKING:
    from ..custody.scope import Scope

__tracebackhide__ = True  # pytest ends a traceback at the line that called


# Whether this process, a child, ends with the thread of its parent that started it.
_tied = False


def die_with_parent() -> None:
    """In a child: have the kernel end this process with its parent, if its parent started it in the main thread.

    PR_SET_PDEATHSIG is about the thread that forked. A child that another thread has started must outlive that thread:
    the reaper ends it when the process has died. A change of user or of user namespace clears it, so it is set again
    after one.
    """
    if _tied:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def live(
    parent: int,
    tied: bool,
    tag: int,
    report: int,
    output: int,
    keep: AbstractSet[int],
    task: Callable[[], Any],
    scope: Scope | None,
) -> NoReturn:
    """The life of the child. Does not return: whatever goes wrong here, the parent's pytest must not run twice."""
    global _tied
    status = 70  # EX_SOFTWARE: not even the report could be made

    calls: list[str] = []

    def life() -> Any:
        libc.forget_calls()  # the parent's
        _multiprocessing("_run_after_forkers")
        try:
            result = task()
            _multiprocessing("_run_finalizers")
            return result
        finally:
            calls.extend(libc.recent_calls())  # before tidying up makes others
            if scope is not None:
                scope.close()  # what this process made in it; the rest is the parent's
            ledger.close()

    try:
        child_report.prepare(report)
        set_tag(tag)
        mark_self()
        _tied = tied
        die_with_parent()
        if os.getppid() not in (parent, 0):  # 0: a parent in another PID namespace
            os._exit(status)  # the parent died before the line above could tie this process to it
        os.setpgid(0, 0)
        _settle(output, keep)
        ledger.current()  # opened now: the child may become a user who could not
        status = child_report.run(report, life, calls)
    except BaseException as error:  # noqa: BLE001 - the boundary: nothing may unwind into pytest's frames
        with suppress(BaseException):
            child_report.send_error(report, error, calls)
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
            libc.fflush()
        try:
            current_os._exit(status & 0xFF)  # not the copy: coverage replaces it to save its data
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # whatever stands in its place came back


def _multiprocessing(function: str) -> None:
    """Do as multiprocessing does at the beginning and the end of its own children, if the parent has loaded it.

    Without the first a queue that the parent has used takes nothing more; without the second what was put last is lost,
    because a thread sends it. Both names are the stdlib's own: where it does not have them nothing is done.
    """
    util = sys.modules.get("multiprocessing.util")
    call = getattr(util, function, None)
    if call is not None:
        call()


def _settle(output: int, keep: AbstractSet[int]) -> None:
    """Give the child standard streams of its own, and close what is the test runner's."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for fd in {null, output} - {0, 1, 2}:
        os.close(fd)
    close_runners(keep)
    # pytest's own streams write to its capture, which is not for a child, or to where the numbers referred before.
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if faulthandler.is_enabled():
        # It keeps a number, not a file: what it says of a SIGSEGV would go to whatever the child has opened there
        # since.
        faulthandler.enable(2)
    sys.stdin = sys.__stdin__ = io.open(0, closefd=False)  # type: ignore[misc] # a child's stream, not the interpreter's
