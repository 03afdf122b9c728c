"""One exercise a fixture: made, used, waited for until it comes and until the deadline, used by a child.

It works whatever the test has made of Python's clocks and calls. The runs of test_patched.py import it; it is no test
of its own.
"""

from __future__ import annotations

import posix
import signal
from collections.abc import Callable
from typing import Any

import pytest


def in_vain(call: Callable[..., object], *arguments: Any) -> None:
    """A deadline comes: TimeoutError, or EAGAIN and ETIMEDOUT of a call that has one of its own."""
    with pytest.raises(OSError):
        call(*arguments, timeout=0.05)


def sysv_shm(make: Any, fork: Any) -> None:
    segment = make(4096)
    segment.attach().buf[0] = 7
    assert fork(lambda: segment.attachments[0].buf[0]).result() == 7
    assert segment.stat().segsz == 4096


def sysv_sem(make: Any, fork: Any) -> None:
    semaphores = make(1)
    in_vain(semaphores.acquire)
    child = fork(semaphores.acquire)
    child.wait_blocked("semop")
    semaphores.release()
    assert child.result() is None


def sysv_msg(make: Any, fork: Any) -> None:
    queue = make()
    in_vain(queue.receive)
    child = fork(lambda: queue.receive(timeout=None).text)
    child.wait_blocked("msgrcv")
    queue.send(b"text")
    assert child.result() == b"text"


def posix_shm(make: Any, fork: Any) -> None:
    memory = make(4096)
    mapping = memory.map()
    mapping.buf[0] = 7
    assert memory.exists()
    assert fork(lambda: mapping.buf[0]).result() == 7
    assert memory.unlink()


def posix_sem(make: Any, fork: Any) -> None:
    semaphore = make()
    in_vain(semaphore.wait)
    child = fork(lambda: semaphore.wait(timeout=20))
    child.wait_blocked()
    semaphore.post()
    assert child.result() is None


def posix_mq(make: Any, fork: Any) -> None:
    queue = make(maxmsg=1, msgsize=8)
    in_vain(queue.receive)
    child = fork(queue.receive)
    child.wait_blocked("mq_timedreceive")
    queue.send(b"text", 3)
    assert child.result() == (b"text", 3)


def mapped_file(make: Any, fork: Any) -> None:
    mapping = make(4096)
    mapping.buf[0] = 7
    mapping.msync()
    assert fork(lambda: mapping.buf[0]).result() == 7


def pipe(make: Any, fork: Any) -> None:
    ends = make()
    child = fork(ends.read, 4, timeout=None)
    child.wait_blocked("read")
    in_vain(child.result)
    ends.write(b"text")
    assert child.result() == b"text"


def fifo(make: Any, fork: Any) -> None:
    made = make()
    in_vain(made.open_reader)
    child = fork(lambda: made.open_writer(timeout=20).write(b"text"))
    reader = made.open_reader(timeout=20)
    assert child.result() == 4
    assert reader.read(4) == b"text"


def file_lock(make: Any, fork: Any) -> None:
    lock = make()
    lock.acquire()

    def other() -> str:
        lock_of_child = make(lock.path)
        in_vain(lock_of_child.acquire)
        return "waited"

    assert fork(other).result() == "waited"
    lock.release()


def eventfd(make: Any, fork: Any) -> None:
    counter = make()
    in_vain(counter.read)
    fork(counter.write, 7).result()
    assert counter.read(timeout=20) == 7


def timerfd(make: Any, fork: Any) -> None:
    timer = make()
    in_vain(timer.read)
    timer.set(0.01)
    assert fork(timer.read, timeout=20).result() >= 1


def futex(make: Any, fork: Any) -> None:
    word = make(0)
    in_vain(word.wait, 0)
    child = fork(lambda: word.wait(0, timeout=20))
    child.wait_blocked("futex")
    assert word.wake() == 1
    assert child.result()


def signals(state: Any, fork: Any) -> None:
    caught = state.catch(signal.SIGUSR1)
    in_vain(caught.wait)
    parent = posix.getpid()
    assert fork(lambda: posix.kill(parent, signal.SIGUSR1)).result() is None
    caught.wait(timeout=20)
    state.block(signal.SIGUSR2)
    state.queue(parent, signal.SIGUSR2, 5)
    assert state.wait(signal.SIGUSR2).value == 5


def sockets(make: Any, fork: Any) -> None:
    left, right = make.pair()
    in_vain(right.receive)
    fork(left.send, b"text").result()
    assert right.receive(timeout=20) == b"text"
    listener = make.listen_unix()
    in_vain(listener.accept)
    make.connect(listener)
    listener.accept(timeout=20)


def fork(make: Any, _fork: Any) -> None:
    child = make(signal.pause)
    in_vain(child.result)
    child.wait_blocked("pause")
    child.wait_state("S")
    assert child.alive
    child.signal(signal.SIGTERM)
    assert child.wait(timeout=20) == -signal.SIGTERM
    with pytest.raises(LookupError, match="of the child"):
        make(_raise).result(timeout=20)
    make(signal.pause).wait_blocked()  # ended by the scope


def _raise() -> None:
    raise LookupError("of the child")


def ipc_namespace(make: Any, _fork: Any) -> None:
    namespace = make(shmmni=3)
    here = posix.stat("/proc/self/ns/ipc").st_ino
    assert namespace.fork(lambda: posix.stat("/proc/self/ns/ipc").st_ino).result(timeout=20) != here


def two_hosts(make: Any, _fork: Any) -> None:
    hosts = make()
    assert hosts.left.address != hosts.right.address
    assert hosts.left.fork(posix.getpid).result(timeout=20) != posix.getpid()


def spawn(make: Any, _fork: Any) -> None:
    program = make(["sh", "-c", "echo ready; exec sleep 100"])
    program.wait_for_output("ready", timeout=20)
    program.wait_blocked(timeout=20)
    assert program.open_files()[0] == "/dev/null"
    assert program.terminate(grace=20) == -15


def ipc(make: Any, _fork: Any) -> None:
    sysv_sem(make.sysv_sem, make.fork)
    fifo(make.fifo, make.fork)


EXERCISES = {
    exercise.__name__: exercise
    for exercise in (
        sysv_shm,
        sysv_sem,
        sysv_msg,
        posix_shm,
        posix_sem,
        posix_mq,
        mapped_file,
        pipe,
        fifo,
        file_lock,
        eventfd,
        timerfd,
        futex,
        signals,
        sockets,
        fork,
        spawn,
        ipc_namespace,
        two_hosts,
        ipc,
    )
}
