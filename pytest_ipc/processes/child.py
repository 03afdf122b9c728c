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
from errno import ENOSYS, ESRCH
from functools import partial
from threading import get_native_id
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from weakref import WeakSet

from ..custody.cleanup import finish
from ..custody.identity import Process, new_tag
from ..custody.ledger import Record, intent
from ..custody.record import made_by
from ..custody.sweep import settle
from ..kernel import libc, proc, trace
from ..kernel.bare_fork import fork
from ..kernel.memfile import memory_file
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, close_all, timed_out
from ..unpatched import os, signal
from . import child_report, history, tree
from .bootstrap import live
from .leader import Leader
from .output import Output
from .sleep_watch import SleepWatch, check_states, state_letter

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Child", "ChildDied"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Result = TypeVar("Result")
Returned = TypeVar("Returned")


# Signals that the kernel sends for a fault in the program. Others may have been sent by the test, with os.kill().
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS, signal.SIGTRAP}


class ChildDied(Exception):
    """A child ended without a result: by a signal, by an exit call, or because it executed another program.

    `status` is its exit status, or -N for signal N as in subprocess; None if another caller of wait(2) reaped it, or
    the kernel because SIGCHLD is ignored (wait(2), NOTES).
    """

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


# The children of this process, whose descriptors a new child does not need.
_children: WeakSet[Child[Any]] = WeakSet()


def _close_siblings_files() -> None:
    """Close, in a child, the descriptors of its parent's other children, but not numbers of another file by now."""
    for sibling in _children:
        for fd in sibling._fds:  # noqa: SLF001 - of this module
            with suppress(OSError):  # closed by now, or there is no /proc
                refers_to = os.readlink(f"/proc/self/fd/{fd}")
                if "pytest-ipc-" in refers_to or "[pidfd]" in refers_to:
                    os.close(fd)
    _children.clear()


def _take_back(pid: int, tag: int, report: int, output: int, record: Record) -> None:
    """End a child that has just been started but cannot be kept. Raises OSError if that fails; it stays on record."""

    def end() -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        tree.end(tag, Process(pid, 0))
        record.closed()

    finish(end, partial(tree.let_go, tag), partial(close_all, [report, output]))


class Child(Resource, Generic[Result]):
    """A forked child that runs one function (fork(2)); ended, with its process group, when its block or scope ends.

    `pid` is its process id, `pidfd` a descriptor for it (None where the kernel lacks pidfd_open(2)), `source` what
    the last wait_blocked() read: "syscall", or "state" where the kernel does not show the call.

    A test fails at its end if its child has raised an exception or crashed and the test has not waited for it, by
    wait() or result(); unless it was started with may_fail=True, or `may_fail` is set to True.
    """

    _stays = "only its parent can wait for it; pass its pid, for pytest_ipc.observe(pid)"

    def __init__(
        self,
        leader: Leader,
        name: str,
        report: int,
        output: int,
        record: Record,
        tag: int,
        may_fail: bool,
        scope: Scope | None,
    ) -> None:
        self.pid: int = leader.pid
        self._record = record
        self._tag = tag
        self._leader = leader
        self._process = self._leader.process
        self.pidfd: int | None = self._leader.pidfd
        self.name = name
        self.source: str | None = None
        self._report = report
        self._output = Output(output)
        self._fds = [fd for fd in (report, output, self.pidfd) if fd is not None]
        self._below: set[tuple[int, int]] = set()  # the descendants that the child had before it was killed
        self._test = made_by.test
        self.may_fail: bool = may_fail
        self._asked = False  # the test knows how it ended
        self._sent = set[int]()  # signals that the test has sent
        self._calls_noted = False  # its calls are among this process's recent calls
        super().__init__(scope)
        _children.add(self)

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
        parent = os.getpid()
        # Both processes would otherwise write the text that is buffered now.
        sys.stdout.flush()
        sys.stderr.flush()
        with trace.paused():
            libc.fflush()
        tag = new_tag()
        with ExitStack() as files, intent("process", tag=tag, session=os.getsid(0)) as record:
            report = memory_file("pytest-ipc-report")
            files.callback(os.close, report)
            output = memory_file("pytest-ipc-output")
            files.callback(os.close, output)
            with trace.paused():
                tree.adopt(tag)
            files.callback(tree.let_go, tag)
            # The parent needs two for a look at the child: without them there must be no child.
            spare = [os.dup(report)]
            files.callback(close_all, spare)
            spare.append(os.dup(report))
            tied = get_native_id() == parent
            pid = fork()
            files.pop_all()  # the fork succeeded: the child owns them
            close_all(spare)
        if pid == 0:

            def task() -> Returned:
                if enter is not None:
                    enter()
                return function(*args, **kwargs)

            _close_siblings_files()
            live(parent, tied, tag, report, output, keep, task, scope)
        # Only the child calls setpgid: a late second call from here could undo one of its function.
        try:
            leader = Leader(pid)
        except OSError:
            _take_back(pid, tag, report, output, record)
            raise
        make = cast("type[Child[Returned]]", cls)
        name = getattr(function, "__name__", type(function).__name__)
        child = make(leader, name, report, output, record, tag, may_fail, scope)
        trace.mark("(fork)", pid)
        tree.started(tag, child._process)  # noqa: SLF001 - of this class
        history.started(pid, child.name)
        record.made(pid=pid, start=child._process.start)  # noqa: SLF001 - likewise
        return child

    def __repr__(self) -> str:
        return f"<child {self.pid} ({self.name})>"

    @property
    def alive(self) -> bool:
        """Whether the child still runs, or is stopped. A zombie has ended."""
        return not self._has_ended()

    def _has_ended(self) -> bool:
        """Return whether it has ended, and keep its output within its bounds."""
        if self._fds:
            self._output.trim()
        return self._leader.reap()

    @property
    def status(self) -> int | None:
        """The exit status, or -N for signal N; None before its end, or if another wait(2) took it."""
        return self._leader.status

    @property
    def output(self) -> str:
        """The text that the child has written to its standard output and error so far."""
        self._usable()
        return self._output.text()

    def wait(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for the end of the child and return its exit status, or -N for signal N.

        Return None if another caller of wait(2) reaped it, or SIGCHLD is ignored. Raises TimeoutError after *timeout*
        seconds, with what the child was doing.
        """
        __tracebackhide__ = True
        self._usable()
        seconds = check_timeout(timeout)
        if not Deadline(seconds).until(self._has_ended, self.pidfd, notified=True):
            raise timed_out(seconds, f"{self!r} to end", self._now)
        self._asked = True
        self._pass_output_on()
        return self.status

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

    async def wait_async(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for the end as wait() does, in a coroutine of asyncio, trio or anyio, without blocking the event loop.

        Raises TimeoutError; OSError (ENOSYS) where the kernel lacks pidfd_open(2).
        """
        __tracebackhide__ = True
        self._usable()
        seconds = check_timeout(timeout)
        if not self._leader.reap():
            if self.pidfd is None:
                raise OSError(ENOSYS, "a coroutine waits for a process by a pidfd, and pidfd_open(2) is not available")
            from .awaiting import readable

            if not await readable(self.pidfd, seconds):
                raise timed_out(seconds, f"{self!r} to end", self._now)
        return self.wait(timeout=timeout)

    async def result_async(self, *, timeout: Timeout = DEFAULT) -> Result:
        """Return the result as result() does, in a coroutine, without blocking the event loop."""
        __tracebackhide__ = True
        await self.wait_async(timeout=timeout)
        return self.result(timeout=timeout)

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

    def wait_blocked(self, call: str | None = None, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the kernel shows the child asleep, in system call *call* if given (`"openat"`, `"read"`).

        The calls that libc may make instead count too: `"open"` is openat, `"semop"` is semtimedop. Where
        /proc/PID/syscall is not readable, the state alone decides; `source` shows which was used. Raises
        TimeoutError after *timeout* seconds, with what the child did instead; the exception of its function, or
        ChildDied, if it ended; ValueError for an unknown call.
        """
        __tracebackhide__ = True
        self._usable()
        watch = SleepWatch(self.pid, call, repr(self))

        def blocked() -> bool:
            if self._has_ended() or not child_report.started(self._report):
                return self._leader.reaped
            asleep = watch.asleep()
            self.source = watch.source
            return asleep

        seconds = check_timeout(timeout)
        asleep = Deadline(seconds).until(blocked, self.pidfd)
        trace.mark("(asleep)", self.pid, {"bytes": call or ""}, result=int(asleep and not self._leader.reaped))
        what = f"to sleep in {call}" if call else "to sleep"
        if self._leader.reaped:
            self._report_of_end()
            self._asked = True
            raise ChildDied(f"waited for {self!r} {what}, but it {self._ending()}{self._said()}", self.status)
        if not asleep:
            raise timed_out(seconds, f"{self!r} {what}", self._now)

    def wait_state(self, states: str, *, timeout: Timeout = DEFAULT) -> str:
        """Wait until the child's state letter is in *states* ("T" for stopped; proc_pid_stat(5)); return the letter.

        Raises TimeoutError after *timeout* seconds, with what the child was doing; the exception of its function, or
        ChildDied, if it ended and neither "Z" nor "X" is in *states*.
        """
        __tracebackhide__ = True
        self._usable()
        found, ends = "", not {"Z", "X"}.isdisjoint(check_states(states))

        def reached() -> bool:
            nonlocal found
            self._output.trim()
            found = "X" if self._leader.reaped else state_letter(self.pid, repr(self))
            return found in states or (found in "ZX" and not ends and self._leader.reap())

        seconds = check_timeout(timeout)
        came = Deadline(seconds).until(reached)
        if found not in states and self._leader.reaped:
            self._report_of_end()
            self._asked = True
            raise ChildDied(
                f"waited for {self!r} to be in state {states}, but it {self._ending()}{self._said()}", self.status
            )
        if not came:
            raise timed_out(seconds, f"{self!r} to be in state {states}", self._now)
        return found

    def signal(self, signo: int) -> None:
        """Send a signal: pidfd_send_signal(2), or kill(2) where the kernel lacks it.

        Raises ProcessLookupError if the child has ended; OSError.
        """
        self._usable()
        if self._leader.reap():
            raise ProcessLookupError(ESRCH, f"{self!r} has ended")
        self._sent.add(signo)
        if signo == signal.SIGKILL:
            history.about_to_kill(self.pid)
        self._leader.signal(signo)

    def all_descriptors(self) -> list[int]:
        """Return the descriptors of its files and its pidfd."""
        return list(self._fds)

    def _end(self) -> None:
        """Kill the child and its process group, reap it, and pass on its output."""
        if self._scope is not None and (failure := self.failure()) is not None:
            self._scope.report(failure)
            self._asked = True
        finish(
            self._end_tree,
            partial(tree.let_go, self._tag),
            partial(settle, self._process),  # the objects that it created and could not release
            self._pass_output_on,
            partial(close_all, self._fds),
        )

    def _named(self) -> str:
        return f"{self!r}{f' of {self._test}' if self._test else ''}"

    def failure(self) -> BaseException | None:
        """Return what the child has raised, or that it crashed, if it has ended and nobody has asked for it."""
        if not self._fds or self._asked or self.may_fail or not self._leader.reap():
            return None
        report = child_report.read(self._report)
        if report.error is not None and not isinstance(report.error, child_report.UnsendableResult):
            report.error.add_note(f"in {self._named()}, for which nobody has waited:\n{report.traceback}")
            return report.error
        if self.status is not None and -self.status in _CRASHES - self._sent:
            return ChildDied(
                f"{self._named()} {self._ending()}, and nobody has waited for it{self._said()}", self.status
            )
        return None

    def _end_tree(self) -> None:
        """Kill the child and its descendants. Raises OSError, and keeps the record open, if one cannot be killed."""
        if not self._record.is_open:
            return
        if not self._leader.reap():
            history.about_to_kill(self.pid)
            self._below |= tree.descendants(self._process)
            self._leader.kill()
        else:
            self._leader.kill_rest_of_group()
        tree.end(self._tag, self._process, self._below)
        self._record.closed()

    def _ending(self) -> str:
        return self._leader.ending() + ("" if self.status is None or self.status < 0 else " and without a result")

    def _doing(self) -> str:
        begun = "" if child_report.started(self._report) else ", before its function started"
        return proc.doing(self.pid) + begun

    def _now(self) -> str:
        return f"it was {self._doing()}{self._said()}"

    def _said(self) -> str:
        output = self._output.shown() if self._fds else ""
        return f"\nits output was:\n{output}" if output else ""

    def _pass_output_on(self) -> None:
        """Write the child's new output to the parent's standard output, so that the test's report shows it."""
        if self._fds:
            self._output.pass_on(sys.stdout)
