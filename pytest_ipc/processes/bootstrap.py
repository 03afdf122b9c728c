"""The life of a forked child: prepare it, run its function, write its report, exit by os._exit()."""

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
from ..kernel import libc, trace
from ..kernel.process import PR_SET_PDEATHSIG, prctl
from ..unpatched import io, os, signal
from . import child_report
from .inheritance import close_runners

if TYPE_CHECKING:
    from ..custody.scope import Scope

__tracebackhide__ = True  # pytest ends a traceback at the line that called


# Whether the kernel kills this process, a child, with the thread of its parent that forked it.
_tied = False


def die_with_parent() -> None:
    """Have the kernel kill this child with its parent, if the parent's main thread forked it (PR_SET_PDEATHSIG).

    The setting refers to the forking thread. A child of another thread must outlive that thread: the reaper ends it
    when the process has died. A change of user or of user namespace clears the setting, so it is set again after one.
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
    """Run the child and exit. It never returns, even after an error, lest the parent's pytest run twice."""
    global _tied
    status = 70  # EX_SOFTWARE: the report could not be written

    calls: list[str] = []

    def life() -> Any:
        libc.forget_calls()  # the parent's
        trace.forget()
        _multiprocessing("_run_after_forkers")
        try:
            result = task()
            _multiprocessing("_run_finalizers")
            return result
        finally:
            trace.mark("(exit)")
            trace.stop()
            calls.extend(libc.recent_calls())  # before the clean-up makes others
            if scope is not None:
                scope.close()  # the objects that this process created; the others are the parent's
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
        ledger.current()  # opened now: the child may become a user who cannot open it
        status = child_report.run(report, life, calls)
    except BaseException as error:  # noqa: BLE001 - the boundary: nothing may unwind into pytest's frames
        with suppress(BaseException):
            child_report.send_error(report, error, calls)
    finally:
        with suppress(BaseException):  # the child exits now, whatever became of its output
            sys.stdout.flush()
            sys.stderr.flush()
            libc.fflush()
        try:
            current_os._exit(status & 0xFF)  # not the copy: coverage replaces it to save its data
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # a replacement of _exit() returned


def _multiprocessing(function: str) -> None:
    """Call the hook of multiprocessing for the begin or end of a child, if the parent has imported multiprocessing.

    Without the first, a queue that the parent has used accepts no more items; without the second, the last items are
    lost, because a thread sends them. Both functions are private to the stdlib; a missing one is skipped.
    """
    util = sys.modules.get("multiprocessing.util")
    call = getattr(util, function, None)
    if call is not None:
        call()


def _settle(output: int, keep: AbstractSet[int]) -> None:
    """Replace the child's standard streams, and close the descriptors of the test runner."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for fd in {null, output} - {0, 1, 2}:
        os.close(fd)
    close_runners(keep)
    # pytest's streams write to its capture, which is not for a child, or to the files that the numbers referred to.
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if faulthandler.is_enabled():
        # faulthandler keeps a number, not a file: its traceback would go to any file that the child opens there.
        faulthandler.enable(2)
    sys.stdin = sys.__stdin__ = io.open(0, closefd=False)  # type: ignore[misc] # a child's stream, not the interpreter's
