"""A project of tests that pass objects to processes of multiprocessing; run by test_handed.py."""

from __future__ import annotations

import gc
import os
import pickle
from multiprocessing import get_context
from typing import Any

import pytest

from pytest_ipc.custody import ledger

HOW: Any = get_context(os.environ.get("IPC_HOW", "spawn"))

MAKERS = {
    "segment": lambda ipc: ipc.sysv_shm(8192),
    "private segment": lambda ipc: ipc.sysv_shm(8192, key=0),
    "attachment": lambda ipc: ipc.sysv_shm(8192).attach(),
    "set": lambda ipc: ipc.sysv_sem(values=[1, 2]),
    "queue": lambda ipc: ipc.sysv_msg(),
    "shared memory": lambda ipc: ipc.posix_shm(8192),
    "mapping of shared memory": lambda ipc: ipc.posix_shm(8192).map(4096, offset=4096),
    "mapped file": lambda ipc: ipc.mapped_file(8192),
    "semaphore": lambda ipc: ipc.posix_sem(3),
    "named semaphore": lambda ipc: ipc.posix_sem(3, name=ipc.reserve_name() + "x"),
    "posix queue": lambda ipc: ipc.posix_mq(maxmsg=2, msgsize=16),
    "fifo": lambda ipc: ipc.fifo(),
    "flock": lambda ipc: ipc.file_lock(),
    "posix lock": lambda ipc: ipc.file_lock(kind="posix"),
    "pipe": lambda ipc: ipc.pipe(),
    "write end": lambda ipc: ipc.pipe().writer,
    "event counter": lambda ipc: ipc.eventfd(),
    "timer": lambda ipc: ipc.timerfd(),
    "listener": lambda ipc: ipc.sockets.listen_unix(),
    "port": lambda ipc: ipc.sockets.listen_inet(),
    "socket": lambda ipc: ipc.sockets.pair()[0],
}


def use(it) -> None:
    """Use the object in the other process, as the kind permits."""
    kind = type(it).__name__
    if kind == "Segment":
        it.attach().buf[0] = 7
    elif kind in ("Attachment", "Mapping"):
        it.buf[0] = 7
    elif kind == "SemaphoreSet":
        assert it.values == [1, 2]
        it.release(1)
    elif kind == "MessageQueue":
        it.send(b"there")
    elif kind == "SharedMemory":
        it.map().buf[0] = 7
    elif kind == "PosixSemaphore":
        it.post()
    elif kind == "PosixQueue":
        it.send(b"there", 5)
    elif kind == "Fifo":
        it.open_writer().write(b"there")
    elif kind == "FileLock":
        assert not it.try_acquire()
    elif kind == "Pipe" or kind in ("End", "Socket"):
        it.write(b"there")
    elif kind == "EventFd":
        it.write(7)
    elif kind == "TimerFd":
        it.set(100)
    elif kind == "Listener":
        it.accept().send(b"there")
    else:
        raise AssertionError(kind)


def check(it, reader) -> None:
    """Look at the object in the test, after the other process has used it and ended."""
    kind = type(it).__name__
    if kind == "Segment":
        assert it.attach().buf[0] == 7
    elif kind in ("Attachment", "Mapping"):
        assert it.buf[0] == 7
    elif kind == "SemaphoreSet":
        assert it.values == [1, 3]
    elif kind == "MessageQueue":
        assert it.receive().text == b"there"
    elif kind == "SharedMemory":
        assert it.map().buf[0] == 7
    elif kind == "PosixSemaphore":
        assert it.value == 4
    elif kind == "PosixQueue":
        assert it.receive() == (b"there", 5)
    elif kind == "Fifo":
        assert reader.read() == b"there"
    elif kind == "FileLock":
        assert it.path.exists()
    elif kind == "Pipe":
        assert it.read() == b"there"
    elif kind == "EventFd":
        assert it.read() == 7
    elif kind == "TimerFd":
        assert it.left > 50
    elif kind == "Listener":
        assert reader.receive() == b"there"


@pytest.fixture
def run():
    """Run function(argument) in a process of multiprocessing, and meanwhile *beside*, which may meet it."""

    def run(function, argument, beside=dict):
        process = HOW.Process(target=function, args=(argument,))
        process.start()
        met = beside()
        process.join(60)
        assert process.exitcode == 0, "its traceback is on the error output"
        process.close()
        return met

    return run


def make_all(ipc, kinds) -> dict[str, Any]:
    made = {kind: MAKERS[kind](ipc) for kind in kinds}
    for kind, it in made.items():
        if kind.endswith("lock"):
            it.acquire()
    return made


def meet(ipc, made) -> dict[str, Any]:
    """Open the other side of those objects whose user waits for one, in their order."""
    met = {}
    for kind, it in made.items():
        if kind == "fifo":
            met[kind] = it.open_reader(timeout=60)
        elif kind in ("listener", "port"):
            met[kind] = ipc.sockets.connect(it, timeout=60)
    return met


def use_all(made) -> None:
    while made:
        kind, it = made.popitem()
        try:
            use_and_drop(it)
        except BaseException as error:
            error.add_note(f"with the {kind}")
            raise
    assert ledger._ledger is None, "a process that owns nothing has no ledger"


def use_and_drop(it) -> None:
    use(it)
    fd = it.fileno() if hasattr(it, "fileno") else None
    assert fd is None or not os.get_inheritable(fd)


def test_they_are_used_there_and_stay_here(ipc, run):
    made = make_all(ipc, MAKERS)
    met = run(use_all, made, lambda: meet(ipc, dict(reversed(made.items()))))
    for kind, it in made.items():
        check(it, met.get(kind))
        assert it.exists() if hasattr(it, "exists") else True, kind


def drop_all(made) -> None:
    while made:
        kind, it = made.popitem()
        fd = it.fileno()
        del it
        gc.collect()
        try:
            os.fstat(fd)
        except OSError:
            continue
        raise AssertionError(f"the {kind} is dropped, and its descriptor {fd} still open")


def test_they_are_closed_there_when_they_are_dropped(ipc, run):
    kinds = ["shared memory", "posix queue", "flock", "write end", "event counter", "timer", "listener", "socket"]
    run(drop_all, make_all(ipc, kinds))


def close_all(made) -> None:
    for it in made.values():
        it.close()
        assert it.closed


def test_they_are_closed_and_not_removed_there(ipc, run):
    made = make_all(ipc, ["segment", "set", "queue", "shared memory", "semaphore", "posix queue", "fifo", "flock"])
    run(close_all, made)
    assert [it.exists() for it in list(made.values())[:4]] == [True] * 4
    made["semaphore"].post()
    made["posix queue"].send(b"")
    assert made["fifo"].path.exists()
    assert made["flock"].path.exists()


def pass_on(made) -> None:
    """Pass them to a third process."""
    process = HOW.Process(target=use_all, args=(made,))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def test_they_can_be_passed_on(ipc, run):
    kinds = "segment attachment mapping_of_shared_memory mapped_file posix_queue semaphore fifo pipe".split()
    made = make_all(ipc, [kind.replace("_", " ") for kind in kinds])
    met = run(pass_on, made, lambda: meet(ipc, made))
    for kind, it in made.items():
        check(it, met.get(kind))


def write_to_pipe(pipe) -> None:
    assert (pipe.reader.closed, pipe.writer.closed) == (True, False)
    with pytest.raises(BrokenPipeError):
        pipe.write(b"x")


def test_only_the_open_end_of_a_pipe_is_passed(ipc, run):
    pipe = ipc.pipe()
    pipe.close_read()
    run(write_to_pipe, pipe)


def miss_all(pickled) -> None:
    for kind, data in pickled.items():
        with pytest.raises(OSError, match="was passed to this process, which does not find it"):
            raise AssertionError(f"{kind}: {pickle.loads(data)!r}")


def test_removed_objects_are_not_found_there(ipc, run):
    made = make_all(ipc, ["segment", "shared memory", "semaphore", "posix queue", "fifo", "mapped file", "flock"])
    pickled = {kind: pickle.dumps(it) for kind, it in made.items()}
    for kind, it in made.items():
        if kind == "segment":
            it.remove()
        elif hasattr(it, "unlink"):
            it.unlink()
        else:
            it.path.unlink()
    run(miss_all, pickled)


def increment(segment) -> Any:
    segment.attach().buf[0] += 1
    return segment


def test_tasks_of_a_pool_take_and_return_them(ipc):
    segment = ipc.sysv_shm()
    with HOW.Pool(1) as pool:
        for _ in range(3):
            returned = pool.apply(increment, (segment,))
        pool.close()
        pool.join()
    assert returned.id == segment.id
    returned.close()
    assert segment.exists()
    assert segment.attach().buf[0] == 3
