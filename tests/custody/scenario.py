"""The objects that a run creates before it dies: every kind in custody, each reported to the test.

Copied to the folder of the run that imports it, which needs no other file of the tests.

    IPC_NOTES   the file of the reports: one JSON line for each object
    IPC_PLACE   a directory for FIFOs and files at a path that the test chooses
    IPC_SIZE    the size of every segment and shared memory object, unique to the test, to find unreported objects
    IPC_NSEMS   the number of semaphores of every set, unique too
    IPC_MODE    the mode of every message queue, which has no other attribute to recognize it by
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from pytest_ipc import NotAllowedHere, kernel, scope
from pytest_ipc.custody.identity import Process, tag_of
from pytest_ipc.kernel import Deadline

NOBODY = 65534


def size() -> int:
    """Return the size of every segment of this run."""
    return int(os.environ["IPC_SIZE"])


def nsems() -> int:
    """Return the number of semaphores of every set of this run: no other run at the same time has it."""
    return int(os.environ["IPC_NSEMS"])


def mode() -> int:
    """Return the mode of every message queue of this run: no other run at the same time has it."""
    return int(os.environ["IPC_MODE"])


def open_notes() -> int:
    """Return a descriptor to report through, for a process that cannot open the file later."""
    return os.open(os.environ["IPC_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def tell(kind: str, what: str, notes: int | None = None, **identity: Any) -> None:
    """Report an object that exists now."""
    fd = open_notes() if notes is None else notes
    os.write(fd, json.dumps({"kind": kind, "what": what, **identity}).encode() + b"\n")
    if notes is None:
        os.close(fd)


def tell_of_myself(what: str) -> None:
    """Report this process."""
    me = Process.current()
    tell("process", what, pid=me.pid, start=me.start, tag=tag_of("self"))


def make_segments(ipc: Any) -> None:
    """With a key, without one, and mapped."""
    keyed, private, attached = ipc.sysv_shm(size()), ipc.sysv_shm(size(), key=0), ipc.sysv_shm(size())
    attached.attach().buf[0] = 1
    for what, segment in (("with a key", keyed), ("IPC_PRIVATE", private), ("attached", attached)):
        tell("sysv-shm", what, id=segment.id, key=segment.key)


def make_sets(ipc: Any) -> None:
    """With a key, without one, and used."""
    keyed, private, used = ipc.sysv_sem(nsems()), ipc.sysv_sem(nsems(), key=0), ipc.sysv_sem(nsems())
    used.release()
    for what, made in (("with a key", keyed), ("IPC_PRIVATE", private), ("used", used)):
        tell("sysv-sem", what, id=made.id, key=made.key)


def make_message_queues(ipc: Any) -> None:
    """With a key and messages, without a key, and with a blocked process."""
    keyed, private, awaited = ipc.sysv_msg(mode=mode()), ipc.sysv_msg(key=0, mode=mode()), ipc.sysv_msg(mode=mode())
    keyed.send(b"unread")

    def wait() -> None:
        tell_of_myself("blocked at a message queue")
        awaited.receive(timeout=None)

    ipc.fork(wait).wait_blocked("msgrcv")
    for what, made in (("with messages", keyed), ("IPC_PRIVATE", private), ("with a blocked receiver", awaited)):
        tell("sysv-msg", what, id=made.id, key=made.key)


def make_fifos(ipc: Any) -> None:
    """In its own directory, at a given path, and with a process blocked in open(2)."""
    own, given, awaited = ipc.fifo(), ipc.fifo(path=f"{os.environ['IPC_PLACE']}/given-{os.getpid()}"), ipc.fifo()

    def wait() -> None:
        tell_of_myself("blocked in opening a FIFO")
        os.open(awaited.path, os.O_RDONLY)

    ipc.fork(wait).wait_blocked("open")
    for what, fifo in (("in its own directory", own), ("with a blocked opener", awaited)):
        tell("fifo", what, path=str(fifo.path))
        tell("fifo", f"{what}: the directory", path=str(fifo.path.parent))
    tell("fifo", "at a given path", path=str(given.path))


def make_shared_memory(ipc: Any) -> None:
    """With a name of its own, with a given one, with a name that is gone, and mapped."""
    own, given, unlinked, mapped = (
        ipc.posix_shm(size(), allocated=False),
        ipc.posix_shm(size(), name=f"/ipc-{size():x}-{os.getpid()}", allocated=False),
        ipc.posix_shm(size(), allocated=False),
        ipc.posix_shm(size(), allocated=False),
    )
    unlinked.unlink()
    mapped.map().buf[0] = 1
    for what, shared in (("its own name", own), ("a given name", given), ("unlinked", unlinked), ("mapped", mapped)):
        tell("posix-shm", what, path=f"/dev/shm{shared.name}")


def make_mapped_files(ipc: Any) -> None:
    """In a directory of its own, and at a given path."""
    own, given = (
        ipc.mapped_file(),
        ipc.mapped_file(path=f"{os.environ['IPC_PLACE']}/mapped-{os.getpid()}", shared=False),
    )
    own.buf[0] = given.buf[0] = 1
    tell("mapped-file", "in its own directory", path=str(own.path))
    tell("mapped-file", "the directory", path=str(own.path.parent))
    tell("mapped-file", "at a given path", path=str(given.path))


def make_lock_files(ipc: Any) -> None:
    """In a directory of its own and locked, and at a given path."""
    own, given = ipc.file_lock(), ipc.file_lock(f"{os.environ['IPC_PLACE']}/lock-{os.getpid()}", kind="posix")
    own.acquire()
    for what, path in (("locked", own.path), ("locked: the directory", own.path.parent), ("at a path", given.path)):
        tell("lock-file", what, path=str(path))


def make_sockets(ipc: Any) -> None:
    """In its own directory, and at a given path with a connection that is not accepted."""
    own, given = ipc.sockets.listen_unix(), ipc.sockets.listen_unix(f"{os.environ['IPC_PLACE']}/socket-{os.getpid()}")
    ipc.sockets.connect(given)
    tell("unix-socket", "in its own directory", path=str(own.path))
    tell("unix-socket", "in its own directory: the directory", path=str(own.path.parent))
    tell("unix-socket", "at a given path", path=str(given.path))


def make_posix_semaphores(ipc: Any) -> None:
    """With its own name, a given one, a removed one, unnamed, and with a waiter."""
    own, given, unlinked, _unnamed, awaited = (
        ipc.posix_sem(3),
        ipc.posix_sem(3, name=f"/sem-{size():x}-{os.getpid()}"),
        ipc.posix_sem(),
        ipc.posix_sem(shared=True),
        ipc.posix_sem(),
    )
    unlinked.unlink()

    def wait() -> None:
        tell_of_myself("waiting in a semaphore")
        awaited.wait(timeout=None)

    ipc.fork(wait).wait_blocked("futex")
    for what, semaphore in (("its own name", own), ("a given name", given), ("gone", unlinked), ("awaited", awaited)):
        tell("posix-sem", what, name=semaphore.name)


def make_queues(ipc: Any) -> None:
    """Small queues: with a random name, a given name, mode 0, and a blocked receiver."""
    own, given, closed, awaited = (
        ipc.posix_mq(maxmsg=1, msgsize=8),
        ipc.posix_mq(name=f"/ipc-{size():x}-{os.getpid()}", maxmsg=1, msgsize=8),
        ipc.posix_mq(maxmsg=1, msgsize=8, mode=0),
        ipc.posix_mq(maxmsg=1, msgsize=8),
    )
    own.send(b"unread")

    def wait() -> None:
        tell_of_myself("waiting for a message")
        awaited.receive(timeout=None)

    ipc.fork(wait).wait_blocked("mq_receive")
    for what, queue in (("its own name", own), ("a given name", given), ("closed", closed), ("awaited", awaited)):
        tell("posix-mq", what, name=queue.name)


def make_processes(ipc: Any) -> None:
    """Children: idle, stopped, with a daemon, objects or children, as another user, in another network namespace."""

    def idle() -> None:
        tell_of_myself("a child")
        signal.pause()

    def stopped() -> None:
        tell_of_myself("a stopped child")
        os.kill(os.getpid(), signal.SIGSTOP)

    def with_daemon() -> None:
        tell_of_myself("the parent of a daemon")
        start_daemon()
        signal.pause()

    def with_objects() -> None:
        tell_of_myself("a child with objects")
        segment, fifo, shared = ipc.sysv_shm(size(), key=0), ipc.fifo(), ipc.posix_shm(size(), allocated=False)
        made, queue = ipc.sysv_sem(nsems(), key=0), ipc.sysv_msg(key=0, mode=mode())
        tell("sysv-shm", "IPC_PRIVATE, of a child", id=segment.id, key=0)
        tell("sysv-sem", "IPC_PRIVATE, of a child", id=made.id, key=0)
        tell("sysv-msg", "IPC_PRIVATE, of a child", id=queue.id, key=0)
        tell("fifo", "of a child", path=str(fifo.path))
        tell("posix-shm", "of a child", path=f"/dev/shm{shared.name}")
        semaphore, queue = ipc.posix_sem(), ipc.posix_mq(maxmsg=1, msgsize=8)
        tell("posix-sem", "of a child", name=semaphore.name)
        tell("posix-mq", "of a child", name=queue.name)
        signal.pause()

    def with_child() -> None:
        tell_of_myself("a child with a child")
        ipc.fork(with_objects).wait_blocked("pause")
        signal.pause()

    def with_bare_child() -> None:
        tell_of_myself("a child with a process of its own")
        if os.fork() == 0:
            with_objects()
        signal.pause()

    def as_nobody() -> None:
        tell_of_myself("a child that became another user")
        notes = open_notes()
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        segment, made, queue = ipc.sysv_shm(size()), ipc.sysv_sem(nsems()), ipc.sysv_msg(mode=mode())
        tell("sysv-shm", "another user's", notes, id=segment.id, key=segment.key)
        tell("sysv-sem", "another user's", notes, id=made.id, key=made.key)
        tell("sysv-msg", "another user's", notes, id=queue.id, key=queue.key)
        signal.pause()

    lives = [idle, with_daemon, with_objects, with_child, with_bare_child] + [as_nobody] * (os.geteuid() == 0)
    halted = ipc.fork(stopped)
    for child in [ipc.fork(life) for life in lives]:
        child.wait_blocked("pause")
    halted.wait_state("T")
    make_hosts(ipc)


def make_program(ipc: Any) -> None:
    """A child that has become a program, which has a ledger and a reaper of its own, objects and a child."""
    folder = os.path.dirname(os.path.abspath(__file__))
    source = f"import sys; sys.path.append({folder!r}); import scenario; scenario.live_as_program()"
    child = ipc.fork(os.execv, sys.executable, [sys.executable, "-c", source])
    child.wait_blocked("pause", timeout=60)


def live_as_program() -> None:
    """Run that program, which does not end by itself."""
    with scope() as own:
        tell_of_myself("a program")
        segment, fifo = own.sysv_shm(size(), key=0), own.fifo()
        tell("sysv-shm", "IPC_PRIVATE, of a program", id=segment.id, key=0)
        tell("fifo", "of a program", path=str(fifo.path))

        def idle() -> None:
            tell_of_myself("the child of a program")
            signal.pause()

        own.fork(idle).wait_blocked("pause")
        signal.pause()


def make_hosts(ipc: Any) -> None:
    """Two hosts and a child on one of them, where that is allowed; their networks go with those who live in them."""

    def idle() -> None:
        tell_of_myself("a child on another host")
        signal.pause()

    try:
        hosts = ipc.two_hosts()
    except NotAllowedHere:
        return
    hosts.left.fork(idle).wait_blocked("pause")


def start_daemon() -> None:
    """Start a daemon: two forks, its own session, no open descriptor. Return once it runs."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            tell_of_myself("a daemon")
            os.closerange(0, 4096)  # the last is the pipe's end, for which its grandparent waits
            while True:
                signal.pause()
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    os.read(read, 1)
    os.close(read)


def make_reserved_names(ipc: Any) -> None:
    """Shared memory, a semaphore's file and a queue, made by a child of a child under names reserved before."""
    shared, semaphore, queue = (ipc.reserve_name() for _ in range(3))

    def make() -> None:
        os.close(kernel.shm_open(shared, os.O_CREAT | os.O_RDWR))
        os.close(os.open(f"/dev/shm/sem.{semaphore[1:]}", os.O_CREAT | os.O_RDWR, 0o600))
        os.close(kernel.mq_open(queue, os.O_CREAT | os.O_RDWR, 0o600, kernel.MqAttr(maxmsg=1, msgsize=8)))

    ipc.fork(in_bare_child, make).result(timeout=60)
    tell("reserved-name", "shared memory", path=f"/dev/shm/{shared[1:]}")
    tell("reserved-name", "semaphore", path=f"/dev/shm/sem.{semaphore[1:]}")
    tell("posix-mq", "of a reserved name", name=queue)


def make_reserved_keys(ipc: Any) -> None:
    """A segment, a set and a queue, made by a child of a child with one key reserved before."""
    key = ipc.reserve_key()

    def make() -> None:
        kernel.shmget(key, size(), 0o1600)
        kernel.semget(key, nsems(), 0o1600)
        kernel.msgget(key, 0o1000 | mode())

    ipc.fork(in_bare_child, make).result(timeout=60)
    for kind in ("reserved-key", "sysv-sem", "sysv-msg"):
        tell(kind, "of a reserved key", id=-1, key=key)


def make_reserved_paths(ipc: Any) -> None:
    """A FIFO and a folder at a reserved path."""
    path = ipc.reserve_path()
    os.mkfifo(path)
    os.mkdir(f"{path}.d")
    for made in (path, f"{path}.d", os.path.dirname(path)):
        tell("reserved-path", "FIFO or folder", path=made)


def in_bare_child(make: Callable[[], None]) -> None:
    """Call *make* in a child of this process, and wait for it."""
    pid = os.fork()
    if pid == 0:
        try:
            make()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


# By the name of the kind in pytest_ipc.custody.kinds.KINDS; a test holds the two tables against each other.
MAKERS = {
    "sysv-shm": make_segments,
    "sysv-sem": make_sets,
    "sysv-msg": make_message_queues,
    "posix-shm": make_shared_memory,
    "posix-sem": make_posix_semaphores,
    "posix-mq": make_queues,
    "fifo": make_fifos,
    "mapped-file": make_mapped_files,
    "lock-file": make_lock_files,
    "unix-socket": make_sockets,
    "reserved-name": make_reserved_names,
    "reserved-key": make_reserved_keys,
    "reserved-path": make_reserved_paths,
    "process": make_processes,
}


def make_everything(ipc: Any) -> None:
    """An object of every kind, and the word that all of them exist."""
    for make in MAKERS.values():
        make(ipc)
    me = Process.current()
    tell("ready", "", pid=me.pid, start=me.start)


def wait_for_word() -> None:
    """Until the test has taken its own measures."""
    assert Deadline(60).until(lambda: os.path.exists(os.environ["IPC_NOTES"] + ".go"))
