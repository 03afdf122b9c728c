"""The fixtures: each has a name, a help text, and the method of `Ipc` that implements it.

Resources are imported when a test requests a fixture. A fixture of the same name in another plugin or in the project
takes precedence, so all of these depend on `ipc_scope` and on no name that another plugin may use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

if TYPE_CHECKING:
    from ..api import Ipc
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
    from ..resources.sockets import Sockets
    from ..resources.timers import TimerFd
    from ..resources.two_hosts import TwoHosts
    from .factory import Factory


Given = ParamSpec("Given")
Made = TypeVar("Made")

# The narrowest scope last: an object is on record under the narrowest test, class, module, … in use.
_SCOPES = ("session", "package", "module", "class", "function")
# The fixtures on which all others of this plugin depend.
OWNERS = frozenset({"ipc_scope", *(f"ipc_{scope}" for scope in _SCOPES[:-1])})
_in_use: list[tuple[int, str]] = []


@pytest.fixture
def ipc_scope(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Own the objects and processes that a test creates, for all IPC fixtures; release them in reverse order."""
    yield from _owner(request)


@pytest.fixture(scope="class")
def ipc_class(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Create IPC objects as ipc does, for all tests of a class; release them after the last."""
    yield from _owner(request)


@pytest.fixture(scope="module")
def ipc_module(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Create IPC objects as ipc does, for all tests of a module; release them after the last."""
    yield from _owner(request)


@pytest.fixture(scope="package")
def ipc_package(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Create IPC objects as ipc does, for all tests of a package; release them after the last."""
    yield from _owner(request)


@pytest.fixture(scope="session")
def ipc_session(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Create IPC objects as ipc does, for all tests of a run or of a pytest-xdist worker; release them at its end."""
    yield from _owner(request)


def _owner(request: pytest.FixtureRequest) -> Iterator[Ipc]:
    """Own the objects created in the scope of a fixture, and release them at its end."""
    if not sys.platform.startswith("linux"):
        pytest.fail(f"the fixtures of pytest-ipc need Linux, not {sys.platform}", pytrace=False)
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
        made_by.test = max(_in_use)[1] if _in_use else None  # objects created from here on belong to no test


@pytest.fixture
def ipc(ipc_scope: Ipc) -> Ipc:
    """Create IPC objects and processes, released with the test: ipc.sysv_shm(…), ipc.fifo(…), ipc.fork(…), …"""
    return ipc_scope


@pytest.fixture
def sysv_shm(ipc_scope: Ipc) -> Factory[..., Segment]:
    """Create System V shared memory: sysv_shm(size=4096, *, key, flags, mode=0o600) -> Segment."""
    return _factory(ipc_scope.sysv_shm, "segment")


@pytest.fixture
def sysv_sem(ipc_scope: Ipc) -> Factory[..., SemaphoreSet]:
    """Create System V semaphores: sysv_sem(count=1, *, values, key, flags, mode=0o600) -> SemaphoreSet."""
    return _factory(ipc_scope.sysv_sem, "semaphores")


@pytest.fixture
def posix_shm(ipc_scope: Ipc) -> Factory[..., SharedMemory]:
    """Create POSIX shared memory: posix_shm(size=4096, *, name, flags, mode=0o600, allocated=True) -> SharedMemory."""
    return _factory(ipc_scope.posix_shm, "shared_memory")


@pytest.fixture
def mapped_file(ipc_scope: Ipc) -> Factory[..., Mapping]:
    """Map files into memory: mapped_file(size=4096, *, shared=True, path=None, mode=0o600) -> Mapping."""
    return _factory(ipc_scope.mapped_file, "mapping")


@pytest.fixture
def posix_sem(ipc_scope: Ipc) -> Factory[..., PosixSemaphore]:
    """Create POSIX semaphores: posix_sem(value=0, *, name=None, shared=False, mode=0o600) -> PosixSemaphore.

    With shared=True the semaphore is unnamed and in memory shared with children.
    """
    return _factory(ipc_scope.posix_sem, "posix_semaphore")


@pytest.fixture
def posix_mq(ipc_scope: Ipc) -> Factory[..., PosixQueue]:
    """Create POSIX message queues: posix_mq(*, name=None, maxmsg=10, msgsize=8192, mode=0o600) -> PosixQueue."""
    return _factory(ipc_scope.posix_mq, "posix_queue")


@pytest.fixture
def sysv_msg(ipc_scope: Ipc) -> Factory[..., MessageQueue]:
    """Create System V message queues: sysv_msg(*, key=None, flags=IPC_CREAT|IPC_EXCL, mode=0o600) -> MessageQueue."""
    return _factory(ipc_scope.sysv_msg, "message_queue")


@pytest.fixture
def pipe(ipc_scope: Ipc) -> Factory[..., Pipe]:
    """Create pipes: pipe(*, flags=O_CLOEXEC, capacity=None) -> Pipe."""
    return _factory(ipc_scope.pipe, "pipe")


@pytest.fixture
def fifo(ipc_scope: Ipc) -> Factory[..., Fifo]:
    """Create FIFOs: fifo(*, mode=0o600, path=None) -> Fifo.

    Processes blocked in open(2) of one are released at the end.
    """
    return _factory(ipc_scope.fifo, "fifo")


@pytest.fixture
def eventfd(ipc_scope: Ipc) -> Factory[..., EventFd]:
    """Create event counters: eventfd(value=0, *, flags=EFD_CLOEXEC) -> EventFd."""
    return _factory(ipc_scope.eventfd, "eventfd")


@pytest.fixture
def timerfd(ipc_scope: Ipc) -> Factory[..., TimerFd]:
    """Create timers with a descriptor: timerfd(clock=CLOCK_MONOTONIC, *, flags=TFD_CLOEXEC) -> TimerFd."""
    return _factory(ipc_scope.timerfd, "timers")


@pytest.fixture
def futex(ipc_scope: Ipc) -> Factory[..., Futex]:
    """Create futex words in memory shared with children: futex(value=0) -> Futex."""
    return _factory(ipc_scope.futex, "futex")


@pytest.fixture
def file_lock(ipc_scope: Ipc) -> Factory[..., FileLock]:
    """Lock files: file_lock(path=None, *, kind="flock"|"posix"|"ofd", flags=O_RDWR) -> FileLock.

    The errors of a lock name its holders.
    """
    return _factory(ipc_scope.file_lock, "lock")


@pytest.fixture
def signals(ipc_scope: Ipc) -> Signals:
    """Change signal dispositions and mask until the end of the test: signals.catch(SIG), .block(), .timer(), …"""
    return ipc_scope.signals


@pytest.fixture
def fork(ipc_scope: Ipc) -> Fork:
    """Run functions in forked children: fork(function, *args, **kwargs) -> Child, with .result(), .wait_blocked(), …"""
    return ipc_scope.fork


@pytest.fixture
def spawn(ipc_scope: Ipc) -> Factory[..., Program]:
    """Start programs: spawn(argv, *, env, cwd, stdin, pass_fds, signals="default") -> Program, with .wait(), …"""
    from ..processes import program  # noqa: F401 - imported now: the test may have no free descriptor when it calls it

    return _factory(ipc_scope.spawn)


@pytest.fixture
def ipc_namespace(ipc_scope: Ipc, request: pytest.FixtureRequest) -> Factory[..., IpcNamespace]:
    """Create IPC namespaces with their own limits: ipc_namespace(*, shmmni, sem, …) -> IpcNamespace, with .fork().

    The test is skipped, with the reason, where this process may not create one.
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

    return _factory(ipc_namespace)


@pytest.fixture
def sockets(ipc_scope: Ipc) -> Sockets:
    """Create sockets: sockets.pair(type=SOCK_STREAM), .listen_unix(path=None), .listen_inet(), .connect(listener), …"""
    return ipc_scope.sockets


@pytest.fixture
def two_hosts(ipc_scope: Ipc, request: pytest.FixtureRequest) -> Factory[[], TwoHosts]:
    """Create two network namespaces with a veth pair: two_hosts() -> .left and .right, each with .address and .fork().

    The test is skipped, with the reason, where this process may not create them.
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

    return _factory(two_hosts)


def _factory(create: Callable[Given, Made], module: str | None = None) -> Factory[Given, Made]:
    """Return a factory, whose module a run does not import that requests none."""
    from .factory import Factory

    return Factory(create, module)


_Fixture = type(ipc)


def register_fixtures(config: pytest.Config) -> None:
    """Register our fixtures such that others of the same name override them.

    With `ipc_short_names` false, register only `ipc` and `ipc_…`. Of two plugins with a fixture of one name, the one
    that pytest registers later wins, and the order of installed plugins is arbitrary. So this is called when all
    plugins are registered, and registers their fixtures of the same names again after ours: a fixture that extends ours
    (`def fifo(fifo)`) finds it. Those of a conftest.py, of a module or of a class take precedence anyway.
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
    """Return the fixtures of a plugin: a module, a class, or an object, whose fixtures are its bound methods."""
    owners = (
        (plugin,) if isinstance(plugin, ModuleType) else (plugin if isinstance(plugin, type) else type(plugin)).__mro__
    )
    for owner in reversed(owners):
        # A list, and no isinstance(): every run looks at 2,000 names.
        for name in [name for name, value in list(vars(owner).items()) if type(value) is _Fixture]:
            yield getattr(plugin, name)
