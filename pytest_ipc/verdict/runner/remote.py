"""Run the suite on several platforms at once, each behind a command that starts a Python there: `ssh host python3`.

The command receives a program with the bundle on its standard input: nothing has to be installed there, and no part of
it is interpreted by a shell. It replies with lines that begin with a secret token. Each platform is a process of its
own, which may die, hang or never start without an effect on the others, and in which pytest-xdist can use several CPUs.
(pytest-xdist's own --dist each ends the whole run if one platform cannot start, cannot pass the shell of an ssh, and
needs the same versions of our packages there.)
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import selectors
import signal
import subprocess
import tempfile
from base64 import encodebytes
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, Protocol

from ..result import ClauseResult, SuiteResult, Verdict
from ..suite import ClauseTest
from .build_bundle import OPENING

__all__ = ["Listener", "Platform", "judge"]

# Seconds for a platform that must end: it removes a directory, and kills a hanging child after 20 seconds.
_SECONDS_TO_END = 30

# Bytes: a command that prints more than this is not Python.
_MOST_OF_A_LINE = 1_000_000

_SCRIPT = """\
{opening}
import base64, io, zipfile
sys.stdout.write({token!r} + " started\\n")
sys.stdout.flush()
archive = io.BytesIO(base64.b64decode('''
{bundle}'''))
names = dict(__name__="pytest_ipc_unpack")
exec(compile(zipfile.ZipFile(archive).read("pytest_ipc_unpack.py"), "pytest_ipc_unpack.py", "exec"), names)
worker = "pytest_ipc.verdict.runner.remote_worker"
sys.exit(names["run"](archive, ["-m", worker, {token!r}, {request!r}], dict(), apart=True))
"""


@dataclass
class Platform:
    """A platform and its state: `refusal` is the reason that it did not start, `described` its own description."""

    name: str
    command: list[str]
    described: dict[str, str] = field(default_factory=dict)
    refusal: str = ""
    result: SuiteResult | None = None


class Listener(Protocol):
    """The receiver of events while the platforms run."""

    def began(self, platform: Platform) -> None:
        """Handle a platform that has started and described itself."""

    def judged(self, platform: Platform, id: str, verdict: Verdict) -> bool:
        """Handle the verdict of a clause on a platform. Return whether it ends the run there."""

    def ended(self, platform: Platform) -> None:
        """Handle a platform that has its result or its refusal."""


def judge(
    platforms: Iterable[Platform],
    wanted: list[ClauseTest],
    bundle: bytes,
    request: dict[str, Any],
    listener: Listener,
    *,
    patience: float | None,
    longer_if_slow: bool = False,
    at_once: int | None = None,
) -> None:
    """Run the clauses *wanted* on all *platforms*, *at_once* at a time; each gets a result or a refusal.

    A platform that is silent for *patience* seconds is given up; *longer_if_slow* extends that where a clause may take
    longer. However this function ends, all platforms have ended.
    """
    token = secrets.token_hex(16)
    script = _SCRIPT.format(
        opening=OPENING, token=token, bundle=encodebytes(bundle).decode(), request=json.dumps(request)
    )
    talks: list[_Talk] = []
    with tempfile.NamedTemporaryFile(prefix="pytest-ipc-", suffix=".py") as file, selectors.DefaultSelector() as ready:
        file.write(script.encode())
        file.flush()
        waiting = deque(platforms)
        try:
            while True:
                running = [talk for talk in talks if not talk.over]
                while waiting and (at_once is None or len(running) < at_once):
                    talk = _Talk(waiting.popleft(), wanted, token, listener)
                    talks.append(talk)
                    if talk.start(file.name):
                        running.append(talk)
                        ready.register(talk.output, selectors.EVENT_READ, talk)
                if not running:
                    return
                for key, _ in ready.select(0.1):
                    if not key.data.read():
                        ready.unregister(key.fileobj)
                for talk in running:
                    talk.look(patience, longer_if_slow)
        except KeyboardInterrupt as error:
            for talk in talks:
                talk.interrupt(getattr(signal, str(error), signal.SIGINT))
            raise
        finally:
            for talk in talks:
                talk.close()


class _Talk:
    """The connection to one platform."""

    def __init__(self, platform: Platform, wanted: list[ClauseTest], token: str, listener: Listener) -> None:
        self.platform = platform
        self.over = False
        self._clauses = {clause.id: clause for clause in wanted}
        self._token = token.encode()
        self._listener = listener
        self._heard: dict[str, Verdict] = {}
        self._last = ""
        self._buffer = b""
        self._answered = False  # Python has started there
        self._limit = 0.0  # seconds that a clause may take there, longer on a slow platform
        self._since = monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()

    @property
    def output(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def start(self, script: str) -> bool:
        """Start the command without a way to ask for a password: no terminal and no window."""
        environment = os.environ | {"SSH_ASKPASS_REQUIRE": "never", "SUDO_ASKPASS": "/bin/false"}
        environment.pop("PYTHONUNBUFFERED", None)  # it would make Python read its program, megabytes, byte by byte
        try:
            with open(script, "rb") as program:
                self._process = subprocess.Popen(
                    [*self.platform.command, "-"],
                    stdin=program,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    start_new_session=True,
                    env=environment,
                )
        except OSError as error:
            self._end_with(f"{self.platform.command[0]} cannot be started: {error.strerror}")
            return False
        os.set_blocking(self.output, False)
        return True

    def read(self) -> bool:
        """Read available output; return whether more can come."""
        try:
            chunk = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return True
        if self.over:
            return bool(chunk)
        self._since = monotonic()
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            if not self.over:
                self._hear(line)
        if not self.over and len(self._buffer) > _MOST_OF_A_LINE:
            self._end_with(f"it printed {_some(self._buffer)} without end")
        return bool(chunk)

    def _hear(self, line: bytes) -> None:
        own, _, text = line.partition(b" ")
        if own != self._token:
            if not self._answered:
                self._end_with(f"its command must print nothing before Python starts, not {_some(line)}")
            return  # from a process that was started there before the channel was private
        self._answered = True
        if text == b"started":
            return
        word, content = json.loads(text)
        if word == "hello":
            self.platform.described = content
            self._listener.began(self.platform)
        elif word == "limit":
            self._limit = content
        elif word == "judged":
            self._last, verdict = content[0], _verdict(content[1:])
            self._heard[self._last] = verdict
            if self._listener.judged(self.platform, self._last, verdict):
                self._end(SuiteResult(self._results(), stopped=True))
        elif word == "done":
            results = [self._result(id, _verdict(fields), seconds) for id, *fields, seconds in content["results"]]
            self._end(SuiteResult(results, content["broken"], content["interrupted"]))

    def look(self, patience: float | None, longer_if_slow: bool) -> None:
        """Check whether the platform still responds."""
        if patience is not None and longer_if_slow:
            patience = max(patience, 3 * self._limit)
        if self.over or self._process is None:
            return
        if self._process.poll() is not None:
            while not self.over:  # its last lines; a process that it leaked may hold end of file back
                before = len(self._buffer)
                if not self.read() or len(self._buffer) == before:
                    break
            if not self.over:
                if self._buffer and not self._answered:
                    self._hear(self._buffer)  # its only line, without a newline
                else:
                    self._end_with(f"it {self._how_it_ended()}", died=True)
        elif patience is not None and monotonic() - self._since > patience:
            what = "it was silent" if self._answered else "no Python answered"
            self._end_with(f"{what} for {patience:g} seconds{self._last_error()}")

    def _end_with(self, reason: str, *, died: bool = False) -> None:
        """Record the failure: as a broken result if the platform had begun, as a refusal otherwise."""
        if not self.platform.described:
            when = " before the suite began there" if died else ""
            self.platform.refusal = reason if not when else reason.replace("ended (", f"ended{when} (", 1)
            self.over = True
            self._kill()
            self._listener.ended(self.platform)
            return
        after = f"after {len(self._heard)} of {len(self._clauses)} clauses"
        last = f", the last of them {self._last}" if self._last else ""
        self._end(SuiteResult(self._results(), [f"the platform was lost {after}{last}: {reason}"]))

    def interrupt(self, signo: int) -> None:
        """Make the verdicts so far the platform's result, because this process must end."""
        if not self.over and self.platform.described:
            self._end(SuiteResult(self._results(), interrupted=signo))

    def _results(self) -> list[ClauseResult]:
        return [self._result(id, verdict, 0.0) for id, verdict in sorted(self._heard.items())]

    def _end(self, result: SuiteResult) -> None:
        self.platform.result = result
        self.over = True
        self._listener.ended(self.platform)

    def _result(self, id: str, verdict: Verdict, seconds: float) -> ClauseResult:
        clause = self._clauses[id]
        facts = clause.mechanism, clause.page, clause.section, clause.statement
        return ClauseResult(id, *facts, verdict, seconds, clause.source)

    def _how_it_ended(self) -> str:
        assert self._process is not None
        code = self._process.returncode
        if code == 0 and not self._answered:
            return "ended without running the program on its standard input"
        how = f"status {code}" if code >= 0 else signal.Signals(-code).name
        return f"ended ({how}){self._last_error()}"

    def _last_error(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4000))
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return f": {_printable(lines[-1].strip().removeprefix('pytest-ipc: '))}" if lines else ""

    def close(self) -> None:
        """End the process if it still runs, and close the connection."""
        if self._process is not None:
            result = self.platform.result
            if result is not None and not (result.broken or result.interrupted or result.stopped):
                with suppress(subprocess.TimeoutExpired):  # it is ended below
                    self._process.wait(_SECONDS_TO_END)
            self._kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._errors.close()

    def _kill(self) -> None:
        if self._process is None:
            return
        for signo in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with suppress(ProcessLookupError):  # it has ended
                    os.killpg(self._process.pid, signo)
                self._wait(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a platform that must end, and read its output meanwhile."""
        deadline = monotonic() + _SECONDS_TO_END
        output = select.poll()
        output.register(self.output, select.POLLIN)
        while process.poll() is None and monotonic() < deadline:
            if not output.poll(50):
                continue
            with suppress(BlockingIOError):  # another process has read it since
                if not os.read(self.output, 1 << 16):
                    sleep(0.05)


def _verdict(fields: list[Any]) -> Verdict:
    verdict, reason, expected, observed, evidence, need = fields
    return Verdict(verdict, reason, expected, observed, tuple(evidence), need)


def _some(line: bytes) -> str:
    return repr(_printable(line[:200].decode(errors="replace").strip()))


def _printable(text: str) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= 300 else text[:297] + "..."
