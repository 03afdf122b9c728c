"""The fixtures: each has a name, a help text, and the method of `Ipc` that serves it.

Nothing is imported here until a test asks for a fixture. A fixture of the same name in
another plugin or in the project wins; so all of ours depend on `ipc_scope`, and none on a name that could be another's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from .factory import Factory

if TYPE_CHECKING:
    from ..api import Ipc, Sockets
    from ..processes.fork import Fork
    from ..processes.program import Program
    from ..resources.eventfd import EventFd
    from ..resources.fifo import Fifo
    from ..resources.futex import Futex
    from ..resources.ipc_namespace import IpcNamespace
    from ..resources.lock import FileLock
    from ..resources.mapping import Mapping
    from ..resources.message_queue import MessageQueue
    from ..resources.pipe import Pipe
    from ..resources.posix_queue import PosixQueue
    from ..resources.posix_semaphore import PosixSemaphore
    from ..resources.segment import Segment
    from ..resources.semaphores import SemaphoreSet
    from ..resources.shared_memory import SharedMemory
    from ..resources.signals import Signals
    from ..resources.timers import TimerFd
    from ..resources.two_hosts import TwoHosts


# The narrowest scope last: what is created is on record under the test, class, module, … that is the narrowest in use.
_SCOPES = ("session", "package", "module", "class", "function")
_in_use: list[tuple[int, str]] = []


@pytest.fixture
def ipc_scope(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """What the IPC fixtures share: the owner of everything a test makes, which ends it in reverse order."""
    yield from _owner(request)


@pytest.fixture(scope="class")
def ipc_class(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """As ipc, for the tests of a class: what is made ends after the last of them."""
    yield from _owner(request)


@pytest.fixture(scope="module")
def ipc_module(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """As ipc, for the tests of a module: what is made ends after the last of them."""
    yield from _owner(request)


@pytest.fixture(scope="package")
def ipc_package(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """As ipc, for the tests of a package: what is made ends after the last of them."""
    yield from _owner(request)


@pytest.fixture(scope="session")
def ipc_session(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """As ipc, for all tests of a run, or of a worker of pytest-xdist: what is made ends at the end of the run."""
    yield from _owner(request)


def _owner(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Own what is created in the scope of a fixture, and end it with that."""
    if not sys.platform.startswith("linux"):
        pytest.fail(f"pytest-ipc makes Linux IPC objects, and this system is {sys.platform}", pytrace=False)
    from ..api import scope
    from ..custody.ledger import made_by

    entry = (_SCOPES.index(request.scope), request.node.nodeid or request.scope)
    _in_use.append(entry)
    made_by.test = max(_in_use)[1]
    try:
        with scope() as ipc:
            yield ipc
    finally:
        _in_use.remove(entry)
        made_by.test = max(_in_use)[1] if _in_use else None  # what is made by other means is nobody's from here on


@pytest.fixture
def ipc(ipc_scope: Ipc) -> Ipc:
    """Make IPC objects and processes: ipc.sysv_shm(…), ipc.fifo(…), ipc.fork(…), …; all of them end with the test."""
    return ipc_scope


@pytest.fixture
def sysv_shm(ipc_scope: Ipc) -> Factory[..., Segment]:
    """Make System V shared memory: sysv_shm(size=4096, *, key=None, flags=IPC_CREAT|IPC_EXCL, mode=0o600) -> Segment."""
    return Factory(ipc_scope.sysv_shm, "segment")


@pytest.fixture
def sysv_sem(ipc_scope: Ipc) -> Factory[..., SemaphoreSet]:
    """Make System V semaphores: sysv_sem(count=1, *, values=None, key=None, flags=IPC_CREAT|IPC_EXCL, mode=0o600) -> SemaphoreSet."""
    return Factory(ipc_scope.sysv_sem, "semaphores")


@pytest.fixture
def posix_shm(ipc_scope: Ipc) -> Factory[..., SharedMemory]:
    """Make POSIX shared memory: posix_shm(size=4096, *, name=None, flags=..., mode=0o600, allocated=True) -> SharedMemory."""
    return Factory(ipc_scope.posix_shm, "shared_memory")


@pytest.fixture
def mapped_file(ipc_scope: Ipc) -> Factory[..., Mapping]:
    """Make mapped files: mapped_file(size=4096, *, shared=True, path=None, mode=0o600) -> Mapping, memory with a file behind."""
    return Factory(ipc_scope.mapped_file, "mapping")


@pytest.fixture
def posix_sem(ipc_scope: Ipc) -> Factory[..., PosixSemaphore]:
    """Make POSIX semaphores: posix_sem(value=0, *, name=None, mode=0o600) -> PosixSemaphore; shared=True for one without a name."""
    return Factory(ipc_scope.posix_sem, "posix_semaphore")


@pytest.fixture
def posix_mq(ipc_scope: Ipc) -> Factory[..., PosixQueue]:
    """Make POSIX message queues: posix_mq(*, name=None, maxmsg=10, msgsize=8192, mode=0o600) -> PosixQueue."""
    return Factory(ipc_scope.posix_mq, "posix_queue")


@pytest.fixture
def sysv_msg(ipc_scope: Ipc) -> Factory[..., MessageQueue]:
    """Make System V message queues: sysv_msg(*, key=None, flags=IPC_CREAT|IPC_EXCL, mode=0o600) -> MessageQueue."""
    return Factory(ipc_scope.sysv_msg, "message_queue")


@pytest.fixture
def pipe(ipc_scope: Ipc) -> Factory[..., Pipe]:
    """Make pipes: pipe(*, flags=O_CLOEXEC, capacity=None) -> Pipe."""
    return Factory(ipc_scope.pipe, "pipe")


@pytest.fixture
def fifo(ipc_scope: Ipc) -> Factory[..., Fifo]:
    """Make FIFOs: fifo(*, mode=0o600, path=None) -> Fifo; whoever is blocked in opening one is released at the end."""
    return Factory(ipc_scope.fifo, "fifo")


@pytest.fixture
def eventfd(ipc_scope: Ipc) -> Factory[..., EventFd]:
    """Make event counters: eventfd(value=0, *, flags=EFD_CLOEXEC) -> EventFd."""
    return Factory(ipc_scope.eventfd, "eventfd")


@pytest.fixture
def timerfd(ipc_scope: Ipc) -> Factory[..., TimerFd]:
    """Make timers with a descriptor: timerfd(clock=CLOCK_MONOTONIC, *, flags=TFD_CLOEXEC) -> TimerFd."""
    return Factory(ipc_scope.timerfd, "timers")


@pytest.fixture
def futex(ipc_scope: Ipc) -> Factory[..., Futex]:
    """Make words to wait on, in memory shared with children: futex(value=0) -> Futex."""
    return Factory(ipc_scope.futex, "futex")


@pytest.fixture
def file_lock(ipc_scope: Ipc) -> Factory[..., FileLock]:
    """Lock files: file_lock(path=None, *, kind="flock"|"posix"|"ofd", flags=O_RDWR) -> FileLock; who holds what, when it fails."""
    return Factory(ipc_scope.file_lock, "lock")


@pytest.fixture
def signals(ipc_scope: Ipc) -> Signals:
    """Change signal dispositions and mask: signals.catch(SIG), .block(), .queue(), .timer(), .fd() and more; all put back."""
    return ipc_scope.signals


@pytest.fixture
def fork(ipc_scope: Ipc) -> Fork:
    """Run functions in forked children: fork(function, *args, **kwargs) -> Child, with .result(), .wait_blocked(), .close()."""
    return ipc_scope.fork


@pytest.fixture
def spawn(ipc_scope: Ipc) -> Factory[..., Program]:
    """Start programs: spawn(argv, *, env, cwd, stdin, pass_fds, signals="default") -> Program, with .wait(), .stdout, .terminate()."""
    from ..processes import program  # noqa: F401 - imported now: the test may have no descriptor left when it calls it

    return Factory(ipc_scope.spawn)


@pytest.fixture
def ipc_namespace(ipc_scope: Ipc, request: pytest.FixtureRequest) -> Factory[..., IpcNamespace]:
    """Make IPC namespaces with limits of their own: ipc_namespace(*, shmmni=…, sem=…, …) -> IpcNamespace, with .fork(function).

    The test is skipped, with the reason, where that is not allowed.
    """
    from ..resources.ipc_namespace import NotAllowedHere
    from .skips import report_skips_at_tests

    report_skips_at_tests(request.config)

    @wraps(ipc_scope.ipc_namespace)
    def ipc_namespace(**limits: Any) -> IpcNamespace:
        __tracebackhide__ = True
        try:
            return ipc_scope.ipc_namespace(**limits)
        except NotAllowedHere as error:
            pytest.skip(error.strerror or str(error))

    return Factory(ipc_namespace)


@pytest.fixture
def sockets(ipc_scope: Ipc) -> Sockets:
    """Make sockets: sockets.pair(type=SOCK_STREAM), .listen_unix(path=None), .listen_inet(), .connect(listener), .socket()."""
    return ipc_scope.sockets


@pytest.fixture
def two_hosts(ipc_scope: Ipc, request: pytest.FixtureRequest) -> Factory[[], TwoHosts]:
    """Make two hosts joined by a cable: two_hosts() -> .left and .right, each with .address and .fork(function, *args).

    The test is skipped, with the reason, where that is not allowed.
    """
    from ..resources.ipc_namespace import NotAllowedHere
    from .skips import report_skips_at_tests

    report_skips_at_tests(request.config)

    @wraps(ipc_scope.two_hosts)
    def two_hosts() -> TwoHosts:
        __tracebackhide__ = True
        try:
            return ipc_scope.two_hosts()
        except NotAllowedHere as error:
            pytest.skip(error.strerror or str(error))

    return Factory(two_hosts)


_Fixture = type(ipc)


def register_fixtures(config: pytest.Config) -> None:
    """Register our fixtures so that they lose to others of the same name; only `ipc` and `ipc_…` if `ipc_short_names` is false.

    Of two plugins with a fixture of one name the one that pytest registers later wins, and the order of installed plugins is
    arbitrary. So this is called when the other plugins are there, and registers their fixtures of the same names once more after
    ours: one that extends ours (`def fifo(fifo)`) finds it. Those of a conftest.py, of a module or of a class win by themselves.
    """
    short = config.getini("ipc_short_names")
    ours = {
        fixture.name: fixture
        for fixture in _fixtures_of(sys.modules[__name__])
        if short or fixture.name == "ipc" or fixture.name.startswith("ipc_")
    }
    theirs = {
        fixture.name: fixture
        for name, plugin in config.pluginmanager.list_name_plugin()
        if plugin is not None and not name.endswith("conftest.py")
        for fixture in _fixtures_of(plugin)
        if fixture.name in ours
    }
    for name, fixtures in (("ipc-fixtures", ours), ("ipc-fixtures-of-other-plugins", theirs)):
        if fixtures:
            module = ModuleType(name)
            vars(module).update(fixtures)
            config.pluginmanager.register(module, name)


def _fixtures_of(plugin: object) -> Iterator[Any]:
    """Return the fixtures that a plugin defines: a module, a class, or an object, whose fixtures are its bound methods."""
    owners = (
        (plugin,) if isinstance(plugin, ModuleType) else (plugin if isinstance(plugin, type) else type(plugin)).__mro__
    )
    for owner in reversed(owners):
        for name, value in list(vars(owner).items()):
            if isinstance(value, _Fixture):
                yield getattr(plugin, name)
