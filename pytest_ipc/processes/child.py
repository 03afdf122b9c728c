"""Forked children: a test starts them, observes them through the kernel and gets their result; they end with the test.

A child of a bare os.fork() in a test is a second pytest: it holds the worker's pipe, and an exception in it runs the
rest of the session again. A Child runs one function and always exits by os._exit(). It dies with its parent: the kernel
kills it if the main thread forked it (PR_SET_PDEATHSIG), else the reaper does. It leads its own process group, and has
its parent's descriptors except those of the test runner (inheritance.py).

Its report and output go to memory files, not pipes: nobody has to read them while it runs, a result of any size cannot
block it, and a grandchild that outlives it keeps no reader waiting. A pidfd reports its end; both are complete then.
"""

from __future__ import annotations

import resource  # noqa: F401 - every child needs it; an import in each child takes a third of its start-up time
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from threading import get_native_id
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..kernel import libc, proc, trace
from ..kernel.bare_fork import fork
from ..kernel.memfile import memory_file
from ..resource import DEFAULT, Timeout
from ..unpatched import os
from . import child_report
from .bootstrap import live
from .output import Output
from .started import ChildDied, Start, StartedProcess, siblings, start_process

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Child", "ChildDied"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Result = TypeVar("Result")
Returned = TypeVar("Returned")


def _close_siblings_files() -> None:
    """Close, in a child, the descriptors of its parent's other children, but not numbers of another file by now."""
    for sibling in siblings:
        for fd in sibling.unneeded_by_children():
            with suppress(OSError):  # closed by now, or there is no /proc
                refers_to = os.readlink(f"/proc/self/fd/{fd}")
                if "pytest-ipc-" in refers_to or "[pidfd]" in refers_to:
                    os.close(fd)
    siblings.clear()


def fork_child(
    task: Callable[[], Any], keep: AbstractSet[int] = frozenset(), scope: Scope | None = None
) -> tuple[Start, int, int]:
    """Fork a child that runs task(); return it, and its memory files for report and output. Raises OSError."""
    parent = os.getpid()
    # Both processes would otherwise write the text that is buffered now.
    sys.stdout.flush()
    sys.stderr.flush()
    with trace.paused():
        libc.fflush()
    with ExitStack() as files:
        report = memory_file("pytest-ipc-report")
        files.callback(os.close, report)
        output = memory_file("pytest-ipc-output")
        files.callback(os.close, output)
        tied = get_native_id() == parent
        start = start_process(lambda _: fork(), [report])
        files.pop_all()  # the fork succeeded: the child owns them
    if start.pid == 0:
        _close_siblings_files()
        live(parent, tied, start.tag, report, output, keep, task, scope)
    # Only the child calls setpgid: a late second call from here could undo one of its function.
    return start, report, output


class Child(StartedProcess, Generic[Result]):
    """A forked child that runs one function (fork(2)); ended, with its process group, when its block or scope ends.

    `pid` is its process id, `pidfd` a descriptor for it (None where the kernel lacks pidfd_open(2)), `source` what
    the last wait_blocked() read: "syscall", or "state" where the kernel does not show the call.

    A test fails at its end if its child has raised an exception or crashed and the test has not waited for it, by
    wait() or result(); unless it was started with may_fail=True, or `may_fail` is set to True.
    """

    def __init__(self, start: Start, name: str, report: int, output: int, may_fail: bool, scope: Scope | None) -> None:
        self._report = report
        self._output = Output(output)
        self._calls_noted = False  # its calls are among this process's recent calls
        super().__init__(start, name, [report, output], [self._output], may_fail, scope)

    @classmethod
    def start(
        cls,
        function: Callable[..., Returned],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = MappingProxyType({}),
        *,
        keep: AbstractSet[int] = frozenset(),
        enter: Callable[[], None] | None = None,
        may_fail: bool = False,
        scope: Scope | None = None,
    ) -> Child[Returned]:
        """Fork a child that runs function(*args, **kwargs) (fork(2)). Raises OSError.

        It has its parent's descriptors except the test runner's pipes, of which it keeps those in *keep*. It calls
        *enter* first, if given; an exception of *enter* is the child's exception. With *may_fail*, an exception or a
        crash for which nobody waits does not fail the test.
        """
        if not callable(function):
            raise TypeError(f"function must be callable, not {function!r}")

        def task() -> Returned:
            if enter is not None:
                enter()
            return function(*args, **kwargs)

        start, report, output = fork_child(task, keep, scope)
        make = cast("type[Child[Returned]]", cls)
        name = getattr(function, "__name__", type(function).__name__)
        return make(start, name, report, output, may_fail, scope)

    def __repr__(self) -> str:
        return f"<child {self.pid} ({self.name})>"

    @property
    def output(self) -> str:
        """The text that the child has written to its standard output and error so far."""
        self._usable()
        return self._output.text()

    def result(self, *, timeout: Timeout = DEFAULT) -> Result:
        """Wait for the end of the child and return the result of its function.

        Raises the exception of the function, with its traceback as a note; ChildDied if the child ended with neither;
        TimeoutError after *timeout* seconds, with what the child was doing.
        """
        __tracebackhide__ = True  # pytest then points at the test's line; the child's frames are in the note
        self._usable()
        self.wait(timeout=timeout)
        report = self._report_of_end()
        if report.outcome is None:
            raise ChildDied(f"{self!r} {self._ending()}{self._said()}", self.status)
        result: Result = report.value
        return result

    async def result_async(self, *, timeout: Timeout = DEFAULT) -> Result:
        """Return the result as result() does, in a coroutine, without blocking the event loop."""
        __tracebackhide__ = True
        await self.wait_async(timeout=timeout)
        return self.result(timeout=timeout)

    def failure(self) -> BaseException | None:
        """Return what the child has raised, or that it crashed, if it has ended and nobody has asked for it."""
        if not self._readable() or self._asked or self.may_fail or not self._leader.reap():
            return None
        report = child_report.read(self._report)
        if report.error is not None and not isinstance(report.error, child_report.UnsendableResult):
            report.error.add_note(f"in {self._named()}, for which nobody has waited:\n{report.traceback}")
            return report.error
        return super().failure()

    def _report_of_end(self) -> child_report.Report:
        """Return the report of a child that has ended. Raises the exception of its function."""
        __tracebackhide__ = True
        report = child_report.read(self._report)
        if not self._calls_noted:
            self._calls_noted = True
            libc.note_calls(self.pid, report.calls)
        if report.error is not None:
            self._asked = True
            report.error.add_note(f"in {self!r}:\n{report.traceback}")
            raise report.error
        return report

    def _raise_reported(self) -> None:
        __tracebackhide__ = True
        self._report_of_end()

    def _has_begun(self) -> bool:
        return child_report.started(self._report)

    def _ending(self) -> str:
        return self._leader.ending() + ("" if self.status is None or self.status < 0 else " and without a result")

    def _now(self) -> str:
        begun = "" if self._has_begun() else ", before its function started"
        return f"it was {proc.doing(self.pid)}{begun}{self._said()}"

    def _said(self) -> str:
        output = self._output.shown() if self._readable() else ""
        return f"\nits output was:\n{output}" if output else ""
