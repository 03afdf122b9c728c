"""--ipc-isolate: run tests in their own IPC namespace, /dev/shm and /dev/mqueue, each pytest-xdist worker in others.

The run itself moves to a new namespace, or each pytest-xdist worker while the controller stays. The kernel removes the
objects of a namespace with its last process. This takes CAP_SYS_ADMIN, or also a new user namespace, in which the user
has the same ids and capabilities as before; only a single-threaded process may enter one. So a run moves before
conftest files are imported and plugins are configured, which may start threads; and a worker, which starts with two
threads, is executed by a program that moves first (isolation_exec.py).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from errno import EINVAL
from typing import Any

import pytest

from ..custody.namespaces import ipc_namespace
from ..kernel.namespace import CLONE_NEWIPC, CLONE_NEWNS, setns, unshare
from ..processes.trial import trial
from ..unpatched import os
from .isolation_exec import PLACES, move

_WAY_OUT = "util-linux's `unshare -Uri pytest …` runs all of pytest in one"
NEEDED = f"a new IPC namespace needs CAP_SYS_ADMIN, or user namespaces for unprivileged users; {_WAY_OUT}"
_SHARED = (
    "POSIX objects there outlive a killed run, and cannot be attributed to a test; a mount namespace needs "
    "CAP_SYS_ADMIN, or user namespaces for unprivileged users: in Docker --cap-add SYS_ADMIN "
    "--security-opt apparmor=unconfined"
)
_ONE_THREAD = (
    "without CAP_SYS_ADMIN a process enters an IPC namespace together with a user namespace, for which it must be "
    f"single-threaded; this one has {{}} threads, because another plugin starts threads at import; {_WAY_OUT}"
)


def isolate_early(config: pytest.Config, sweep: Callable[[], None]) -> object | None:
    """Move a run without workers, and return its plugin object; return None for other runs, which move later.

    Raises pytest.UsageError if that fails.
    """
    options = config.known_args_namespace
    distributes = any(getattr(options, name, None) for name in ("numprocesses", "tx", "px"))
    if distributes or getattr(options, "dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ:
        return None
    sweep()  # the leftovers of other runs are in the current namespace
    return IsolatedRun(None)


def isolation(config: pytest.Config, sweep: Callable[[], None]) -> object:
    """Return the plugin object for this process: a worker, a controller, or a run without workers.

    Raises pytest.UsageError where isolation is impossible.
    """
    if hasattr(config, "workerinput"):
        return IsolatedRun(config.workerinput["ipc_namespace"])
    if config.getoption("dist", "no") != "no":
        return IsolatedWorkers()
    sweep()  # the leftovers of other runs are in the current namespace
    return IsolatedRun(None)


class IsolatedRun:
    """The plugin object of a process that runs tests: the run itself, or a worker, with its controller's namespace."""

    def __init__(self, controllers: dict[str, str] | None) -> None:
        self._back: list[tuple[int, int]] = []
        self._failure = ""
        self._shared: dict[str, str] = {}
        before = _devices()
        self._directory = os.getcwd()
        try:
            for flag, name in ((CLONE_NEWNS, "mnt"), (CLONE_NEWIPC, "ipc")):
                if os.path.exists(f"/proc/self/ns/{name}"):
                    self._back.append((flag, os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)))
            self._shared = move()
        except OSError as error:
            if controllers is None:
                threads = len(os.listdir("/proc/self/task")) if error.errno == EINVAL else 1
                reason = _ONE_THREAD.format(threads) if threads > 1 else f"{NEEDED}: {error.strerror}"
                raise pytest.UsageError(f"--ipc-isolate: {reason}") from None
            before = {place: controllers.get(place, "") for place in PLACES}
            if ipc_namespace() == controllers["ipc"]:  # else this worker was started in its own
                self._failure = f"--ipc-isolate: {NEEDED}: {error.strerror} in a worker"
        now = _devices()
        own = {place for place in PLACES if now[place] and now[place] != before[place]}
        self.isolated: frozenset[str] = frozenset({"ipc"} | own)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Report a worker's failure to move as a collection error: an exception would end in an INTERNALERROR."""
        if self._failure:
            report = pytest.CollectReport(nodeid="--ipc-isolate", outcome="failed", longrepr=self._failure, result=[])
            config.hook.pytest_collectreport(report=report)
            items.clear()

    def pytest_report_header(self) -> str:
        return _header("this run is", [place for place in PLACES if place in self.isolated], self._shared)

    def pytest_unconfigure(self) -> None:
        """Return to the previous namespaces, for callers of pytest.main(); impossible from a user namespace."""
        for flag, fd in self._back:
            try:
                setns(fd, flag)
                if flag == CLONE_NEWNS:
                    os.chdir(self._directory)  # setns(2) has changed it to the root
            except OSError:
                continue
            finally:
                os.close(fd)
        self._back.clear()


class IsolatedWorkers:
    """The plugin object of a controller, which lets its workers enter a namespace."""

    def __init__(self) -> None:
        # Whether a worker may move as it is, with threads; else whether it may before it starts any.
        self._as_it_is = trial(lambda: unshare(CLONE_NEWIPC)) is None
        if not self._as_it_is and (refusal := trial(move)) is not None:
            raise pytest.UsageError(f"--ipc-isolate: {NEEDED}: {refusal.strerror}")

    def pytest_report_header(self) -> str:
        return _header("each worker is", list(PLACES), {})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Start the local workers in a new namespace, if they cannot move to one themselves."""
        if self._as_it_is:
            return
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        source = f"import sys; sys.path.append({package!r}); from pytest_ipc.plugin.isolation_exec import main; main()"
        for spec in specs:
            if spec.popen and not spec.python:
                spec.python = shlex.join([sys.executable, "-I", "-S", "-c", source, sys.executable])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send the controller's namespace and devices to a worker."""
        node.workerinput["ipc_namespace"] = {"ipc": ipc_namespace(), **_devices()}


def _devices() -> dict[str, str]:
    """Return the device of each of the PLACES, or "" if it does not exist; another mount is another device."""
    found = {}
    for place in PLACES:
        try:
            found[place] = str(os.stat(place).st_dev)
        except OSError:
            found[place] = ""
    return found


def _header(who: str, own: list[str], shared: dict[str, str]) -> str:
    text = f"ipc: {who} in its own IPC namespace"
    if own:
        text += f", with its own {' and '.join(own)}"
    if shared:
        text += f"; {' and '.join(shared)} remain shared ({next(iter(shared.values()))}): {_SHARED}"
    return text
