"""--ipc-isolate: run tests in an IPC namespace of their own, each pytest-xdist worker in another.

The run itself moves, or each worker of pytest-xdist while the controller stays where it is. What is left there goes
with the last process, which the kernel sees to. CAP_SYS_ADMIN is enough for it. Without that a user namespace comes
along, in which this user has the same ids and no more capabilities than before; but only a process of one thread may
enter one. So a run moves before conftest files are imported and plugins are configured, which may start threads; and a
worker, which has two threads from the beginning, is started by a program that moves first (moving.py).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from errno import EINVAL
from typing import Any

import pytest

from ..custody.namespaces import ipc_namespace
from ..kernel.namespace import CLONE_NEWIPC, setns, unshare
from ..processes.trial import trial
from ..unpatched import os
from .isolation_exec import move

_WAY_OUT = "with util-linux, `unshare -Uri pytest …` puts the whole run in one"
NEEDED = f"an IPC namespace of its own needs CAP_SYS_ADMIN, or user namespaces for unprivileged users; {_WAY_OUT}"
_ONE_THREAD = (
    "without CAP_SYS_ADMIN a process enters an IPC namespace together with a user namespace, which only a process of one thread "
    f"may do, and this one has {{}}: another plugin starts threads when it is imported; {_WAY_OUT}"
)


def isolate_early(config: pytest.Config, sweep: Callable[[], None]) -> object | None:
    """Return the plugin object of a run without workers, which has moved. None for others: they move later.

    UsageError.
    """
    options = config.known_args_namespace
    distributes = any(getattr(options, name, None) for name in ("numprocesses", "tx", "px"))
    if distributes or getattr(options, "dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ:
        return None
    sweep()  # what others have left is out here
    return IsolatedRun(None)


def isolation(config: pytest.Config, sweep: Callable[[], None]) -> object:
    """The plugin object for this process: a worker, a controller, or a run without workers.

    UsageError where it cannot be.
    """
    if hasattr(config, "workerinput"):
        return IsolatedRun(config.workerinput.get("ipc_namespace", ""))
    if config.getoption("dist", "no") != "no":
        return IsolatedWorkers()
    sweep()  # what others have left is out here
    return IsolatedRun(None)


class IsolatedRun:
    """The plugin object of a process that runs tests: the run itself, or a worker, which gets its controller's namespace."""

    def __init__(self, controllers: str | None) -> None:
        self._back: int | None = None
        self._failure = ""
        try:
            if os.path.exists("/proc/self/ns/ipc"):
                self._back = os.open("/proc/self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
            move()
        except OSError as error:
            if controllers is None:
                threads = len(os.listdir("/proc/self/task")) if error.errno == EINVAL else 1
                reason = _ONE_THREAD.format(threads) if threads > 1 else f"{NEEDED}: {error.strerror}"
                raise pytest.UsageError(f"--ipc-isolate: {reason}") from None
            if ipc_namespace() == controllers:  # else it was started in one
                self._failure = f"--ipc-isolate: {NEEDED}: {error.strerror} in a worker"

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """A worker tells by a failed report what it could not do: an exception in it would end in an INTERNALERROR."""
        if self._failure:
            report = pytest.CollectReport(nodeid="--ipc-isolate", outcome="failed", longrepr=self._failure, result=[])
            config.hook.pytest_collectreport(report=report)
            items.clear()

    def pytest_report_header(self) -> str:
        return "ipc: this run is in an IPC namespace of its own"

    def pytest_unconfigure(self) -> None:
        """Back to where it was, for whoever called pytest.main() and goes on.

        Out of a user namespace there is no way back.
        """
        if self._back is not None:
            try:
                setns(self._back, CLONE_NEWIPC)
            except OSError:
                return
            finally:
                os.close(self._back)


class IsolatedWorkers:
    """The plugin object of a controller: sees to it that its workers can go."""

    def __init__(self) -> None:
        # Whether a worker may as it is, with threads; else whether it may before it has any.
        self._as_it_is = trial(lambda: unshare(CLONE_NEWIPC)) is None
        if not self._as_it_is and (refusal := trial(move)) is not None:
            raise pytest.UsageError(f"--ipc-isolate: {NEEDED}: {refusal.strerror}")

    def pytest_report_header(self) -> str:
        return "ipc: each worker is in an IPC namespace of its own"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Workers on this machine that are plain Pythons are started there, if they could not go there themselves."""
        if self._as_it_is:
            return
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        source = f"import sys; sys.path.append({package!r}); from pytest_ipc.plugin.isolation_exec import main; main()"
        for spec in specs:
            if spec.popen and not spec.python:
                spec.python = shlex.join([sys.executable, "-I", "-S", "-c", source, sys.executable])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where its controller is."""
        node.workerinput["ipc_namespace"] = ipc_namespace()
