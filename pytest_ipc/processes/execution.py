"""The execution of a program, in a child that is started for it, to the success of execve(2), whose errors are raised.

A child that shares this process's memory until then (vfork.py) starts quickest. Where that is impossible, the child is
forked, and prepares itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import TypeAlias

from ..custody import possible_descriptors
from ..custody.cleanup import finish
from ..kernel.memfile import memory_file, put_high
from ..kernel.waiting import Deadline
from ..resource import close_all
from ..unpatched import os, select, signal
from . import child_report
from .arguments import execution_error
from .child import fork_child
from .observe import Observed
from .output import Output, pass_all_on
from .started import ChildDied, Start, StartedProcess, start_process
from .vfork import can_share_memory, start_program

__all__ = ["PIPE", "ExecutedChild", "launch"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called

PIPE = -1  # subprocess.PIPE
# Seconds in which execve(2) must have succeeded or failed; it blocks only on a file system that does not respond.
_EXEC = 60.0

# Arguments, environment, working directory, standard streams, descriptors to pass, and whether signals are reset.
Execution: TypeAlias = tuple[
    tuple[str, ...], Mapping[str, str], str | None, tuple[int, int, int], tuple[int, ...], bool
]


class ExecutedChild(StartedProcess):
    """The child that executes the program; `outputs` are its standard output and standard error."""

    def __init__(self, start: Start, name: str, files: list[int], others: Sequence[int] = ()) -> None:
        self._files = files
        self.outputs: list[Output] = [Output(fd) for fd in files]
        super().__init__(start, name, others, self.outputs, False, None)

    def __repr__(self) -> str:
        return f"<program {self.pid} ({self.name})>"

    def observed(self) -> Observed:
        """Return the observer of this process."""
        return Observed(self.pid, self._process.start)

    def death(self, what: str) -> ChildDied:
        """Return the error of a wait for *what* if the program ended first."""
        return ChildDied(f"waited for {what}, but it {self._ending()}{self._said()}", self.status)

    def now(self) -> str:
        """Return what the process is doing, and its output."""
        return self._now()

    def said(self) -> str:
        """Return the output of the program for an error message."""
        said = ""
        for name, output in zip(("output", "error output"), self.outputs, strict=False):
            if text := output.shown():
                said += f"\nits {name} was:\n{text}"
        return said

    def pass_output_on(self) -> None:
        """Write its new output to the standard streams of this process, so that the test's report shows it."""
        pass_all_on(self.outputs)

    def close_outputs(self) -> None:
        """Close the files of its output, which stay open when it is closed. Harmless when repeated."""
        self.outputs.clear()
        close_all(self._files)

    def close_after_start(self, files: Sequence[int]) -> None:
        """Close *files*, which were of use until the program ran."""
        self._fds = [fd for fd in self._fds if fd not in files]
        close_all(list(files))

    def all_descriptors(self) -> list[int]:
        """Return the descriptors of its files and its pidfd."""
        return [*self._files, *super().all_descriptors()]

    def _readable(self) -> bool:
        return bool(self.outputs)

    def _said(self) -> str:
        return self.said()

    def _pass_output_on(self) -> None:
        self.pass_output_on()


def launch(
    words: tuple[str, ...],
    env: Mapping[str, str] | None,
    cwd: str | None,
    stdin: bytes | int | None,
    pass_fds: tuple[int, ...],
    *,
    default_signals: bool,
) -> tuple[ExecutedChild, int | None]:
    """Start a program as Program.start() does. Raises OSError with the errno of execve(2) or chdir(2).

    Return its process, and the descriptor of its standard input if that is a pipe.
    """
    __tracebackhide__ = True
    environment = dict(os.environ if env is None else env)
    with ExitStack() as failed, ExitStack() as handed:
        outputs: list[int] = []
        failed.callback(close_all, outputs)
        for stream in ("stdout", "stderr"):
            outputs.append(memory_file(f"pytest-ipc-{stream}"))  # noqa: PERF401 - each is closed if the next fails
        source, own = _stdin(stdin, handed, failed)
        streams = (source, outputs[0], outputs[1])
        run = (words, environment, cwd, streams, pass_fds, default_signals)
        if can_share_memory(streams, pass_fds, default_signals=default_signals):
            started = start_process(lambda tag: start_program(tag, *run), outputs)
            child = _owned(started, words, outputs)
        else:
            child = _fork(run, outputs)
        failed.pop_all()
    return child, own


def _owned(start: Start, words: Sequence[str], outputs: list[int], others: Sequence[int] = ()) -> ExecutedChild:
    """Return the process as an object, which owns *outputs* from now on."""
    child = ExecutedChild(start, os.path.basename(words[0]), outputs.copy(), others)
    outputs.clear()
    return child


def _fork(run: Execution, outputs: list[int]) -> ExecutedChild:
    """Start the program in a forked child, and wait until it runs. Raises OSError."""
    words, env, cwd, streams, pass_fds, _ = run
    answer, error = map(put_high, os.pipe2(os.O_CLOEXEC))
    with ExitStack() as reader:
        reader.callback(os.close, answer)
        with ExitStack() as writer:
            writer.callback(os.close, error)
            keep = frozenset({error, *streams, *pass_fds})
            start, report, output = fork_child(partial(_execute, *run, error), keep)
            child = _owned(start, words, outputs, [report, output])
        try:
            _await_execution(child, answer, report, words, env, cwd)
        except BaseException:
            # The child is closed last: the search for its descendants needs descriptors, and there may be no others.
            finish(reader.close, child.close, child.close_outputs)
            raise
    child.close_after_start([report, output])
    return child


def _await_execution(
    child: ExecutedChild, answer: int, report: int, words: Sequence[str], env: Mapping[str, str], cwd: str | None
) -> None:
    """Wait until the program runs; raise the error that prevented it."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    deadline = Deadline(_EXEC)
    while not poll.poll(deadline.left_ms):
        if deadline.passed:
            raise TimeoutError(f"{words[0]!r} could not be executed within {_EXEC} s; {child.now()}")
    if error := os.read(answer, 64):
        call, _, code = error.decode().partition(":")
        raise execution_error(call, int(code), words, env, cwd)
    if raised := child_report.read(report).error:
        raise raised


def _stdin(stdin: bytes | int | None, handed: ExitStack, failed: ExitStack) -> tuple[int, int | None]:
    """Return the descriptor that the program reads, and the one that this process writes; both are to be closed."""
    if stdin is None:
        fd = put_high(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        handed.callback(os.close, fd)
        return fd, None
    if isinstance(stdin, bytes):
        fd = memory_file("pytest-ipc-stdin")
        handed.callback(os.close, fd)
        while stdin:
            stdin = stdin[os.write(fd, stdin) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd, None
    source, own = map(put_high, os.pipe2(os.O_CLOEXEC))
    handed.callback(os.close, source)
    failed.callback(os.close, own)
    return source, own


def _execute(
    words: tuple[str, ...],
    env: Mapping[str, str],
    cwd: str | None,
    streams: tuple[int, int, int],
    pass_fds: tuple[int, ...],
    default_signals: bool,
    error: int,
) -> None:
    """Execute the program, in the child, or write the errno to *error* and exit."""
    failing = "prepare"
    try:
        if default_signals:
            _reset_signals()
        for fd in possible_descriptors():
            if fd > 2 and fd not in pass_fds:
                with suppress(OSError):  # not open
                    os.set_inheritable(fd, False)
        for source, target in zip(streams, (0, 1, 2), strict=True):
            os.dup2(source, target)
        for fd in pass_fds:
            os.set_inheritable(fd, True)
        if cwd is not None:
            failing = "chdir to cwd"
            os.chdir(cwd)
        failing = "execve"
        os.execvpe(words[0], list(words), env)
    except OSError as failure:
        os.write(error, f"{failing}:{failure.errno}".encode())
        os._exit(127)


def _reset_signals() -> None:
    for signo in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(signo) == signal.SIG_IGN:
            signal.signal(signo, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
