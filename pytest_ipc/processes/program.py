"""Programs under test, executed in a child (execve(2)).

They are on record, lead their own process group, and end with the test, as do their descendants. Their output goes to
memory files: a full pipe never blocks a program, and its output is complete when it has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import ESRCH
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..custody.cleanup import finish
from ..kernel.waiting import Deadline
from ..resource import DEFAULT, Resource, Timeout, check_timeout, close_all, timed_out
from ..unpatched import os, signal, time
from .arguments import (
    Argument,
    checked_command,
    checked_descriptors,
    checked_directory,
    checked_environment,
)
from .execution import PIPE, ExecutedChild, launch
from .observe import IpcUse, MemoryMap, Observed, check_callable, wait_until

if TYPE_CHECKING:
    from ..custody.scope import Scope

__all__ = ["Program"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

Value = TypeVar("Value")


class Program(Resource):
    """A program that a test has started; ended with its block or scope.

    `pid` is its process id, `pidfd` a descriptor for it or None, `argv` its arguments. Its output is complete up to 64
    MiB a stream; of a longer one the first and last 32 MiB are kept, with a line that says so between them.
    """

    _stays = "only its parent can wait for it; pass its pid, for pytest_ipc.observe(pid)"

    def __init__(
        self,
        child: ExecutedChild,
        argv: tuple[str, ...],
        stdin: int | None,
        may_fail: bool,
        scope: Scope | None,
    ):
        self._child = child
        self.argv = argv
        self.pid: int = child.pid
        self.pidfd: int | None = child.pidfd
        self._has_stdin = stdin is not None
        self._stdin = [] if stdin is None else [stdin]
        self._observed = child.observed()
        child.may_fail = may_fail
        super().__init__(scope)

    @classmethod
    def start(
        cls,
        argv: Sequence[Argument],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: bytes | int | None = None,
        pass_fds: Sequence[int] = (),
        signals: str = "default",
        may_fail: bool = False,
        scope: Scope | None = None,
    ) -> Program:
        """Start the program *argv*[0], found in PATH, with these arguments (execve(2)).

        *env* replaces the environment. *stdin* is bytes to read, subprocess.PIPE for write() and close_stdin(), or None
        for /dev/null. The program inherits only the standard streams and *pass_fds*. With *signals* "default" every
        signal has its default disposition and none is blocked, as from a shell; with "inherit" dispositions and mask
        are those of this process, where CPython ignores SIGPIPE and SIGXFSZ.

        A crash, as by SIGSEGV, fails the test at its end unless the test waits for the program or *may_fail* is true.

        OSError with the errno of execve(2) or chdir(2): ENOENT if there is no such program, EACCES if it is not
        executable; TypeError, ValueError for invalid arguments.
        """
        __tracebackhide__ = True
        words, environment, directory = checked_command(argv), checked_environment(env), checked_directory(cwd)
        passed = checked_descriptors(pass_fds, "pass_fds")
        if signals not in ("default", "inherit"):
            raise ValueError(f"signals must be 'default' or 'inherit', not {signals!r}")
        if stdin is not None and stdin != PIPE and not isinstance(stdin, bytes):
            raise TypeError(f"stdin must be bytes, subprocess.PIPE or None, not {stdin!r}")
        child, own = launch(words, environment, directory, stdin, passed, default_signals=signals == "default")
        try:
            return cls(child, words, own, may_fail, scope)
        except BaseException:
            finish(child.close, child.close_outputs, partial(close_all, [] if own is None else [own]))
            raise

    def __repr__(self) -> str:
        return repr(self._child)

    @property
    def alive(self) -> bool:
        """Whether the program runs or is stopped. A zombie has ended."""
        return self._child.alive

    @property
    def returncode(self) -> int | None:
        """Its exit status, or -N if signal N ended it; None while it runs."""
        if self._child.alive:
            return None
        self._child.may_fail = True  # the test knows
        return self._child.status

    @property
    def stdout(self) -> str:
        """Its standard output so far, decoded as UTF-8."""
        return self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """Its standard error so far, decoded as UTF-8."""
        return self.stderr_bytes.decode(errors="replace")

    @property
    def stdout_bytes(self) -> bytes:
        """Its standard output so far."""
        self._usable()
        return self._child.outputs[0].read()

    @property
    def stderr_bytes(self) -> bytes:
        """Its standard error so far."""
        self._usable()
        return self._child.outputs[1].read()

    def write(self, data: bytes) -> None:
        """Write all of *data* to its standard input.

        Raises ValueError without stdin=PIPE; OSError (EPIPE if the program has closed its standard input).
        """
        if not self._has_stdin:
            raise ValueError(f"{self!r} has no standard input to write to: start it with stdin=subprocess.PIPE")
        if not self._stdin:
            raise ValueError(f"the standard input of {self!r} is closed")
        while data:
            data = data[os.write(self._stdin[0], data) :]

    def close_stdin(self) -> None:
        """Close its standard input, so that it reads end of file. Harmless if it is closed."""
        close_all(self._stdin)

    def wait(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for its end and return the exit status, or -N if signal N ended it.

        TimeoutError after *timeout* seconds, with what it was doing and its output.
        """
        __tracebackhide__ = True
        self._usable()
        status = self._child.status if self._child.closed else self._child.wait(timeout=timeout)
        self._child.pass_output_on()
        return status

    async def wait_async(self, *, timeout: Timeout = DEFAULT) -> int | None:
        """Wait for its end as wait() does, in a coroutine of asyncio, trio or anyio, without blocking the event loop.

        Raises TimeoutError; OSError (ENOSYS) where the kernel lacks pidfd_open(2).
        """
        __tracebackhide__ = True
        self._usable()
        if not self._child.closed:
            await self._child.wait_async(timeout=timeout)
        return self.wait(timeout=timeout)

    def wait_blocked(self, call: str | None = None, *, timeout: Timeout = DEFAULT) -> None:
        """Wait until the kernel shows the program asleep, in system call *call* if given ("openat", "semop").

        TimeoutError after *timeout* seconds, with what it did instead; ChildDied if it ended; ValueError for an unknown
        call.
        """
        __tracebackhide__ = True
        self._usable()
        self._child.wait_blocked(call, timeout=timeout)

    def wait_state(self, states: str, *, timeout: Timeout = DEFAULT) -> str:
        """Wait until its state letter is in *states* ("T" for stopped; proc_pid_stat(5)); return it.

        TimeoutError after *timeout* seconds, with what it was doing; ChildDied if it ended and neither "Z" nor "X" is
        in *states*.
        """
        __tracebackhide__ = True
        self._usable()
        return self._child.wait_state(states, timeout=timeout)

    def wait_for_output(
        self, pattern: str | re.Pattern[str], *, timeout: Timeout = DEFAULT, stream: str = "stdout"
    ) -> re.Match[str]:
        """Wait until the regular expression *pattern* matches its output on *stream*; return the match.

        "^" and "$" of a string match at each line.
        Raises TimeoutError after *timeout* seconds, ChildDied if the program ended without a match; both show the
        output. Programs buffer output that does not go to a terminal: use `python -u`, `stdbuf -oL` or fflush(3).
        """
        __tracebackhide__ = True
        if stream not in ("stdout", "stderr"):
            raise ValueError(f"stream must be 'stdout' or 'stderr', not {stream!r}")
        wanted = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        if not isinstance(wanted, re.Pattern) or not isinstance(wanted.pattern, str):
            raise TypeError(f"pattern must be a string or a compiled pattern of one, not {pattern!r}")
        found: re.Match[str] | None = None
        output = self._child.outputs[stream == "stderr"]
        searched, pause = -1, Deadline(0)

        def matches() -> bool:
            nonlocal found, searched, pause
            ended = not self.alive  # before its output is read: afterwards there is no more
            size = output.size
            if size == searched or not (ended or pause.passed):
                return ended
            begin = time.monotonic()
            found, searched = wanted.search(output.text()), size
            pause = Deadline(time.monotonic() - begin)  # a long output does not take all of the CPU time
            return found is not None or ended

        seconds = check_timeout(timeout)
        came = Deadline(seconds).until(matches)
        if found is not None:
            return found
        what = f"{self!r} to write {wanted.pattern!r} to its {stream}"
        if came:
            raise self._child.death(what)
        raise timed_out(seconds, what, lambda: self._child.said().lstrip("\n") or "it wrote nothing, or buffers it")

    def wait_for(self, predicate: Callable[[], Value], *, timeout: Timeout = DEFAULT) -> Value:
        """Call *predicate* until it returns a true value, and return that; ChildDied if the program ends first.

        TimeoutError after *timeout* seconds, with the last value and the output.
        """
        __tracebackhide__ = True
        name = getattr(predicate, "__name__", repr(predicate))

        def checked() -> Value:
            ended = not self.alive
            value = predicate()
            if ended and not value:
                raise self._child.death(f"{name}() of {self!r}")
            return value

        check_callable(predicate)
        checked.__name__ = name
        try:
            return wait_until(checked, timeout=timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}{self._child.said()}") from None

    def signal(self, signo: int) -> None:
        """Send a signal (pidfd_send_signal(2)). ProcessLookupError if the program has ended; OSError."""
        if not self.alive:
            raise ProcessLookupError(ESRCH, f"{self!r} has ended")
        self._child.signal(signo)

    def terminate(self, *, grace: float = 2.0) -> int | None:
        """Send SIGTERM, wait *grace* seconds for the end, then kill it and its descendants; return the exit status."""
        __tracebackhide__ = True
        check_timeout(grace)
        with suppress(ProcessLookupError):  # it has ended
            self.signal(signal.SIGTERM)
        with suppress(TimeoutError):  # it did not end in time, and is killed
            return self.wait(timeout=grace)
        self._child.close()
        self._child.pass_output_on()
        return self._child.status

    def children(self) -> list[Observed]:
        """Return its child processes."""
        return self._observed.children()

    def open_files(self) -> dict[int, str]:
        """Return its descriptors and what each refers to (proc_pid_fd(5)). OSError."""
        return self._observed.open_files()

    def maps(self) -> list[MemoryMap]:
        """Return its mappings (proc_pid_maps(5)). OSError."""
        return self._observed.maps()

    def limits(self) -> dict[str, tuple[int | None, int | None]]:
        """Return its soft and hard resource limits by name; None is unlimited (proc_pid_limits(5))."""
        return self._observed.limits()

    def ipc_objects(self) -> IpcUse:
        """Return the System V objects that it has attached or used last. OSError."""
        return self._observed.ipc_objects()

    def all_descriptors(self) -> list[int]:
        """Return the descriptors of its streams, and those of the child that became it."""
        return [*self._stdin, *self._child.all_descriptors()]

    def _end(self) -> None:
        """Kill it and its descendants, and reap it."""
        self._child.report_failure(self._scope)
        finish(
            self._child.close,
            partial(self._child.report_crash, self._scope),
            self.close_stdin,
            self._child.pass_output_on,
            self._child.close_outputs,
        )
