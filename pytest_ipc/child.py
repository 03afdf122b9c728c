"""The life of an actor's child: made ready, its function run, its report left, its end by os._exit whatever happens."""

from __future__ import annotations

import faulthandler
import os as current_os
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from . import remote
from .custody import ledger
from .custody.descent import mark_self
from .custody.identity import put_on
from .kernel import libc
from .kernel.process import PR_SET_PDEATHSIG, prctl
from .unpatched import io, os, signal

if TYPE_CHECKING:
    from .custody.scope import Scope


def live(
    parent: int,
    tag: int,
    report: int,
    output: int,
    keep: AbstractSet[int],
    task: Callable[[], Any],
    scope: Scope | None,
) -> NoReturn:
    """The life of the child. Does not return: whatever goes wrong here, the parent's pytest must not run twice."""
    status = 70  # EX_SOFTWARE: not even the report could be made

    calls: list[str] = []

    def life() -> Any:
        libc.forget_calls()  # the parent's
        try:
            return task()
        finally:
            calls.extend(libc.recent_calls())  # before tidying up makes others
            if scope is not None:
                scope.close()  # what this process made in it; the rest is the parent's
            ledger.close()

    try:
        put_on(tag)
        mark_self()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() not in (parent, 0):  # 0: a parent in another PID namespace
            os._exit(status)  # the parent died before the line above could tie this process to it
        os.setpgid(0, 0)
        _settle(output, keep | {report})
        ledger.current()  # opened now: the child may become a user who could not
        status = remote.run(report, life, calls)
    except BaseException as error:  # noqa: BLE001 - the boundary: nothing may unwind into pytest's frames
        with suppress(BaseException):
            remote.send_error(report, error, calls)
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
            libc.fflush()
        try:
            current_os._exit(status & 0xFF)  # not the copy: coverage replaces it to save its data
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # whatever stands in its place came back


def _settle(output: int, keep: AbstractSet[int]) -> None:
    """Give the child standard streams of its own and close every descriptor that it was not given."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in keep:
            os.closerange(fd, fd + 1)  # which does not mind that the listing's own is closed
    # pytest's own streams write to descriptors that are closed now, under capture as under -s.
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    if faulthandler.is_enabled():
        # It keeps a number, not a file: what it says of a SIGSEGV would go to whatever the child has opened there since.
        faulthandler.enable(2)
    sys.stdin = sys.__stdin__ = io.open(0, closefd=False)  # type: ignore[misc] # a child's stream, not the interpreter's
