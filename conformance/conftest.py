"""What clauses of more than one mechanism are written with: other users, namespaces, programs, the page size."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from mmap import PAGESIZE
from types import ModuleType
from typing import Any

import pytest

from pytest_ipc import Child, Fork, Ipc, IpcNamespace, scope, untested
from pytest_ipc.kernel import CLOCK_REALTIME_COARSE, Deadline, process_status
from pytest_ipc.kernel.waiting import set_patience
from pytest_ipc.verdict.judge.limits_reached import few_processes, small_pipes
from pytest_ipc.verdict.runner.speed import slowness

from .credentials import become
from .on_record import OnRecord, ReservedKey
from .workers import Peer


@pytest.fixture(scope="session", autouse=True)
def no_core_files() -> Iterator[None]:
    """Children that die of a SIGSEGV on purpose leave no core file where the suite is run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture(scope="session", autouse=True)
def deadlines_are_for_this_platform() -> Iterator[None]:
    """On a platform that is many times slower, what does not end in five seconds need not hang."""
    set_patience(slowness())
    yield
    set_patience(1.0)


@pytest.fixture(scope="session", autouse=True)
def children_are_waited_for() -> Iterator[None]:
    """A suite that was started with SIGCHLD ignored, as nohup and some CI runners do, would never learn how a child ended."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.fixture
def page() -> int:
    """The page size in bytes."""
    return PAGESIZE


@pytest.fixture
def room_for_signals() -> None:
    """Room to queue signals: without it what comes says nothing of its sender, and a real-time signal is lost (sigqueue(3))."""
    queued, _, most = process_status().get("SigQ", "").partition("/")
    if most.isdigit() and int(queued) + 16 > int(most):
        untested(f"RLIMIT_SIGPENDING is {most}, and {queued} of them are in use")


@pytest.fixture
def room_for_processes() -> None:
    """Processes and threads, a few: what cannot start one does not always say so (RLIMIT_NPROC)."""
    if reason := few_processes():
        untested(f"a documented limit is in the way: {reason}")


@pytest.fixture
def whole_pipes() -> None:
    """Pipes of 16 pages: a user whose pipes hold pipe-user-pages-soft pages gets smaller ones (pipe(7))."""
    if reason := small_pipes():
        untested(f"a documented limit is in the way: {reason}")


@pytest.fixture
def as_user(fork: Fork) -> Callable[..., Any]:
    """Run a function as another user: as_user(uid, gid, function, *args), its result. It has no capability there."""

    def run(uid: int, gid: int, function: Callable[..., Any], *args: Any) -> Any:
        def life() -> Any:
            become(uid, gid)
            return function(*args)

        return fork(life).result()

    return run


@pytest.fixture
def in_ipc_namespace(ipc_namespace: Callable[..., IpcNamespace]) -> Callable[..., Any]:
    """Run a function in an IPC namespace of its own: in_ipc_namespace({"kernel/shmmni": 1}, function, *args), its result.

    The limits are named as below /proc/sys. For several processes in one namespace there is the fixture ipc_namespace.
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
    """Run Python source as an unrelated program: program(source, *args, keep=()) -> Child, whose memory is all its own.

    The source finds the arguments in sys.argv[1:] and the kernel calls in pytest_ipc.kernel; it answers through its exit status or
    its output. It inherits no descriptor but those in *keep*, which it must find by number.
    """

    def run(source: str, *args: object, keep: tuple[int, ...] = ()) -> Child[Any]:
        def life() -> None:
            for fd in keep:
                os.set_inheritable(fd, True)
            os.execv(sys.executable, [sys.executable, "-P", "-c", source, *map(str, args)])

        return fork.keeping(*keep)(life)

    return run


@pytest.fixture
def two_peers(fork: Fork) -> Iterator[tuple[Peer, Peer]]:
    """Two processes, A and B, that make the calls of a model."""
    pair = Peer(fork, "A"), Peer(fork, "B")
    yield pair
    for peer in pair:
        peer.close()


@pytest.fixture(scope="session")
def aged() -> Iterator[Callable[[str], Any]]:
    """System V objects that were made in an earlier second, which its times can tell from this one: aged("sysv_sem").

    To wait for the next second takes as long as thirty clauses do, so those that need such an object wait together.
    """
    made: dict[str, list[Any]] = {"sysv_msg": [], "sysv_sem": [], "sysv_shm": []}
    with scope() as ipc:

        def make(factory: str) -> None:
            made[factory].append(getattr(ipc, factory)())

        for factory, number in (("sysv_msg", 1), ("sysv_sem", 4), ("sysv_shm", 1)):
            for _ in range(number):
                with suppress(OSError):  # whoever asks for it is told
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
    """System V objects by the call itself, which go with the test: on_record.semget(key, nsems, flags)."""
    return OnRecord(ipc_scope.scope)


@pytest.fixture
def reserved_key(ipc_scope: Ipc) -> Callable[..., int]:
    """A key for an object that a child makes and leaves: reserved_key("sysv-sem", nsems=2, mode=0o600). It goes with the test."""

    def reserve(kind: str, **details: int) -> int:
        return ReservedKey(kind, details, ipc_scope.scope).key

    return reserve


@pytest.fixture(scope="module")
def machines(request: pytest.FixtureRequest) -> ModuleType:
    """The state machines of a file of models, from the file beside it: test_model.py has its own in model.py.

    They are loaded when the first of them is to run, and before a peer is forked. With Hypothesis they are 7 MB of 49, which
    the forks of all clauses before would have to share.
    """
    package, _, name = request.module.__name__.rpartition(".")
    return import_module(f"{package}.{name.removeprefix('test_')}")


@pytest.fixture
def agree(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Look for a history on which a machine and the kernel differ (model.agree): for seconds, or as long as --ipc-thorough has it."""
    from .model import agree  # not sooner, like the machines

    return partial(agree, thorough=bool(request.config.getoption("--ipc-thorough")))


@pytest.fixture
def linearizable(request: pytest.FixtureRequest, fork: Fork) -> Callable[..., Any]:
    """Look for a history that fits no order of its calls (concurrency.looking): for a moment, or as long as --ipc-thorough has it."""

    def check(workload: Any, **more: Any) -> None:
        from .concurrency.looking import look  # not sooner, like the machines

        thorough = bool(request.config.getoption("--ipc-thorough"))
        summary = look(fork, workload, thorough=thorough, **more)
        if summary.undecided > summary.histories // 10:
            untested(
                f"needs a machine that decides more than {summary.histories - summary.undecided} histories in time"
            )

    return check


# Seconds. On a loaded machine, or on a processor that is emulated, an interpreter alone may take many to start.
TO_START = 50.0


def succeeded(actor: Child[Any]) -> None:
    """Assert that a program ended with status 0; its output says what it found otherwise.

    What kept the child from becoming the program is raised, as that a clause cannot be tried.
    """
    if actor.wait(TO_START) != 0:
        actor.result()


def next_second() -> None:
    """Wait for the next second to begin, by the clock that the kernel stamps objects with."""
    now = int(time.clock_gettime(CLOCK_REALTIME_COARSE))
    assert Deadline(5).until(lambda: time.clock_gettime(CLOCK_REALTIME_COARSE) >= now + 1)
