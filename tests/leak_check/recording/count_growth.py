"""A pytest plugin that runs each test several times and counts what remains after each run, as JSON in $GROWTH.

It shares no code with the leak check, whose reports it confirms or refutes.
"""

import gc
import json
import os
import re
import resource
import signal
import threading
import time
from typing import Any

import pytest

RUNS = 4
_file = os.environ["GROWTH"]
_pid = os.getpid()
_found: dict[str, list[dict[str, list[Any]]]] = {}
_last: dict[str, Any] = {}


class Pause(pytest.Item):
    """Between two tests, so that each is torn down completely."""

    def runtest(self):
        pass


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session, items):
    pause = Pause.from_parent(session, name="pause")
    items[:] = [pause, *(each for item in items for _ in range(RUNS) for each in (item, pause))]


_test = ""


def pytest_runtest_logfinish(nodeid):
    global _test, _last
    if os.getpid() != _pid:
        return
    if nodeid.endswith("pause"):
        now = _settled()
        if _test:
            changes = {kind: [_last[kind], now[kind]] for kind in now if now[kind] != _last[kind]}
            _found.setdefault(_test, []).append(changes)
        _test, _last = "", now
    else:
        _test = nodeid


def pytest_unconfigure():
    if os.getpid() == _pid:
        with open(_file, "w") as file:
            json.dump(_found, file)


def _settled() -> dict[str, Any]:
    """Return the counts when they are no longer above the last ones, or after half a second."""
    end = time.monotonic() + 0.5
    while True:
        gc.collect()
        now = _counts()
        if time.monotonic() > end or all(
            now[kind] <= _last.get(kind, 0) for kind in ("descriptors", "processes", "threads")
        ):
            return now
        time.sleep(0.02)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _counts() -> dict[str, Any]:
    """Return numbers of objects, and settings as text, by the kinds of the leak check."""
    status = _read("/proc/self/status").decode()
    mask = os.umask(0o077)
    os.umask(mask)
    wakeup = -1
    if threading.current_thread() is threading.main_thread():
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
    shared = re.findall(rb"^\S+ ...s .*$", _read("/proc/self/maps"), re.MULTILINE)
    variables = sorted(f"{name}={value}" for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST")
    temporary = os.environ.get("TMPDIR", "/tmp")
    return {
        "descriptors": len(_names("/proc/self/fd")),
        "processes": sum(len(_read(f"/proc/self/task/{task}/children").split()) for task in _names("/proc/self/task")),
        "threads": len(_names("/proc/self/task")),
        # Segments that this process has created; of the others all, as their creator is not recorded.
        "sysv-shm": sum(line.split()[4] == b"%d" % os.getpid() for line in _read("/proc/sysvipc/shm").splitlines()[1:]),
        "sysv-sem": _read("/proc/sysvipc/sem").count(b"\n"),
        "sysv-msg": _read("/proc/sysvipc/msg").count(b"\n"),
        "posix-shm": len([name for name in _names("/dev/shm") if not name.startswith("sem.")]),
        "posix-sem": len([name for name in _names("/dev/shm") if name.startswith("sem.")]),
        "posix-mq": len(_names("/dev/mqueue")),
        "files": len([name for name in _names(temporary) if not os.path.isfile(f"{temporary}/{name}")]),
        "abstract-sockets": _read("/proc/self/net/unix").count(b" @"),
        "mappings": len(shared),
        "locks": _read("/proc/locks").count(b" %d " % os.getpid()),
        "dispositions": repr(
            [re.findall(r"^Sig(?:Ign|Cgt):.*", status, re.MULTILINE)]
            + [signal.getsignal(signo) for signo in sorted(signal.valid_signals())]
        ),
        "signal-mask": repr(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "timers": repr(
            [
                _read("/proc/self/timers").count(b"ID: "),
                *(signal.getitimer(which)[0] > 0 for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)),
            ]
        ),
        "wakeup-fd": repr(wakeup),
        "umask": repr(mask),
        "working-directory": os.readlink("/proc/self/cwd"),
        "rlimits": repr([resource.getrlimit(number) for number in range(16)]),
        "environment": repr(variables),
        "namespaces": repr([os.readlink(f"/proc/self/ns/{name}") for name in sorted(_names("/proc/self/ns"))]),
        "mounts": _read("/proc/self/mountinfo").count(b"\n"),
    }
