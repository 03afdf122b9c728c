"""Fixtures of several mechanisms: other users, namespaces, programs, the page size."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from mmap import PAGESIZE
from types import ModuleType
from typing import Any

import pytest

from pytest_ipc import Child, Fork, Ipc, IpcNamespace, Need, scope, untested
from pytest_ipc.kernel import CLOCK_REALTIME_COARSE, Deadline, process_status
from pytest_ipc.kernel.trace import paused
from pytest_ipc.kernel.waiting import set_patience
from pytest_ipc.verdict.judge.limits_reached import few_processes, need_of, small_pipes
from pytest_ipc.verdict.runner.speed import slowness

from .credentials import become
from .on_record import OnRecord, ReservedKey
from .workers import Worker


@pytest.fixture(scope="session", autouse=True)
def no_core_files() -> Iterator[None]:
    """Set RLIMIT_CORE to 0, so that children killed by SIGSEGV on purpose write no core files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with paused():
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture(scope="session", autouse=True)
def deadlines_are_for_this_platform() -> Iterator[None]:
    """Extend the deadlines on a platform that is many times slower."""
    set_patience(slowness())
    yield
    set_patience(1.0)


@pytest.fixture(scope="session", autouse=True)
def children_are_waited_for() -> Iterator[None]:
    """Restore SIGCHLD to SIG_DFL; nohup and some CI runners ignore it, and children could not be waited for."""
    with paused():
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.fixture
def page() -> int:
    """Return the page size in bytes."""
    return PAGESIZE


@pytest.fixture
def sigpending_limit() -> None:
    """Require space in the signal queue; without it siginfo is missing and real-time signals are lost (sigqueue(3))."""
    queued, _, most = process_status().get("SigQ", "").partition("/")
    if most.isdigit() and int(queued) + 16 > int(most):
        untested(Need.PROCESS_LIMITS, f"RLIMIT_SIGPENDING is {most}, and {queued} of them are in use")


@pytest.fixture
def nproc_limit() -> None:
    """Require permission to start a few processes and threads; not every failure of that is reported (RLIMIT_NPROC)."""
    if reason := few_processes():
        untested(need_of(reason), f"a documented limit is in the way: {reason}")


@pytest.fixture
def whole_pipes() -> None:
    """Require new pipes of 16 pages; a user above pipe-user-pages-soft gets smaller ones (pipe(7))."""
    if reason := small_pipes():
        untested(need_of(reason), f"a documented limit is in the way: {reason}")


@pytest.fixture
def as_user(fork: Fork) -> Callable[..., Any]:
    """Run a function as another user without capabilities: as_user(uid, gid, function, *args) -> result."""

    def run(uid: int, gid: int, function: Callable[..., Any], *args: Any) -> Any:
        def child() -> Any:
            become(uid, gid)
            return function(*args)

        return fork(child).result()

    return run


@pytest.fixture
def in_ipc_namespace(ipc_namespace: Callable[..., IpcNamespace]) -> Callable[..., Any]:
    """Run a function in a new IPC namespace: in_ipc_namespace({"kernel/shmmni": 1}, function, *args) -> result.

    The limits have their names in /proc/sys. For several processes in one namespace use the fixture ipc_namespace.
    """

    def run(limits: dict[str, Any], function: Callable[..., Any], *args: Any) -> Any:
        named: dict[str, Any] = {}
        for name, value in limits.items():
            folder, _, last = name.rpartition("/")
            if folder == "fs/mqueue":
                named.setdefault("mqueue", {})[last] = value
            else:
                named[last] = tuple(map(int, value.split())) if isinstance(value, str) else value
        return ipc_namespace(**named).fork(function, *args).result()

    return run


@pytest.fixture
def program(fork: Fork) -> Callable[..., Child[Any]]:
    """Run Python source as an unrelated program: program(source, *args, keep=()) -> Child.

    The source finds the arguments in sys.argv[1:] and the kernel calls in pytest_ipc.kernel; it reports by its exit
    status or its output. It inherits only the descriptors in *keep*, by their numbers.
    """

    def run(source: str, *args: object, keep: tuple[int, ...] = ()) -> Child[Any]:
        def child() -> None:
            for fd in keep:
                os.set_inheritable(fd, True)
            os.execv(sys.executable, [sys.executable, "-P", "-c", source, *map(str, args)])

        return fork.keeping(*keep)(child)

    return run


@pytest.fixture
def two_workers(fork: Fork) -> Iterator[tuple[Worker, Worker]]:
    """Start two worker processes, A and B, that make the calls of a model."""
    pair = Worker(fork, "A"), Worker(fork, "B")
    yield pair
    for worker in pair:
        worker.close()


@pytest.fixture(scope="session")
def aged() -> Iterator[Callable[[str], Any]]:
    """Return a System V object created in an earlier second, so that changes of its times show: aged("sysv_sem").

    The wait for the next second takes as long as thirty clauses, so these clauses share one wait.
    """
    made: dict[str, list[Any]] = {"sysv_msg": [], "sysv_sem": [], "sysv_shm": []}
    with scope() as ipc:

        def make(factory: str) -> None:
            made[factory].append(getattr(ipc, factory)())

        for factory, number in (("sysv_msg", 1), ("sysv_sem", 4), ("sysv_shm", 1)):
            for _ in range(number):
                with suppress(OSError):  # the error is raised when the object is requested
                    make(factory)
        next_second()

        def take(factory: str) -> Any:
            if not made[factory]:
                make(factory)
                next_second()
            return made[factory].pop()

        yield take


@pytest.fixture
def on_record(ipc_scope: Ipc) -> OnRecord:
    """Create System V objects by the call itself, removed with the test: on_record.semget(key, nsems, flags)."""
    return OnRecord(ipc_scope.scope)


@pytest.fixture
def reserved_key(ipc_scope: Ipc) -> Callable[..., int]:
    """Reserve a key for an object that a child creates: reserved_key("sysv-sem", nsems=2, mode=0o600).

    The object is removed with the test.
    """

    def reserve(kind: str, **details: int) -> int:
        return ReservedKey(kind, details, ipc_scope.scope).key

    return reserve


@pytest.fixture(scope="module")
def machines(request: pytest.FixtureRequest) -> ModuleType:
    """Return the module of state machines that belongs to the test file: model.py to test_model.py.

    It is imported when its first test runs and before a worker process is forked. With Hypothesis it takes 7 MB of 49,
    which all earlier forks would have to share.
    """
    package, _, name = request.module.__name__.rpartition(".")
    return import_module(f"{package}.{name.removeprefix('test_')}")


@pytest.fixture
def agree(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Search for a history on which a machine and the kernel differ (model.agree), for seconds or as --ipc-thorough
    says.
    """
    from .model import agree  # imported late, like the machines

    def check(machine: Any, **more: Any) -> None:
        with paused():  # a history has its own evidence, and thousands of calls
            agree(machine, thorough=bool(request.config.getoption("--ipc-thorough")), **more)

    return check


@pytest.fixture
def linearizable(request: pytest.FixtureRequest, fork: Fork) -> Callable[..., Any]:
    """Search for a history without a valid order of calls (concurrency.looking), briefly or as --ipc-thorough says."""

    def check(workload: Any, **more: Any) -> None:
        from .concurrency.looking import look  # imported late, like the machines

        thorough = bool(request.config.getoption("--ipc-thorough"))
        with paused():
            summary = look(fork, workload, thorough=thorough, **more)
        if summary.undecided > summary.histories // 10:
            untested(
                Need.TIME,
                f"needs a machine that decides more than {summary.histories - summary.undecided} histories in time",
            )

    return check


# Seconds; the start of an interpreter may take long on a loaded machine or an emulated CPU.
TO_START = 50.0


def succeeded(child: Child[Any]) -> None:
    """Assert that a program terminated with status 0; the failure shows its output.

    An error before the program was executed is raised, so that the clause becomes untested.
    """
    if child.wait(timeout=TO_START) != 0:
        child.result()


def next_second() -> None:
    """Wait for the next second of the clock that the kernel stamps objects with."""
    now = int(time.clock_gettime(CLOCK_REALTIME_COARSE))
    assert Deadline(5).until(lambda: time.clock_gettime(CLOCK_REALTIME_COARSE) >= now + 1)
