"""Rows of IPC objects: created and removed, or used, beside other bindings and the standard library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import shared_memory

import posix_ipc
import sysv_ipc

from pytest_ipc import Ipc, scope

from .clock import Way, repeated
from .floor import floor
from .row import Goal, Row

__all__ = ["ROWS"]

Opener = Callable[[], AbstractContextManager[Mapping[str, Way]]]

TEXT = b"x" * 64


def of_scope(ours: Callable[[Ipc], object], peer: Callable[[], object], floor_name: str) -> Opener:
    """Return the opener of a row whose way is *ours*, of an object in a scope that lives as long as the row."""

    @contextmanager
    def opened() -> Iterator[Mapping[str, Way]]:
        with scope() as ipc:
            yield {"ours": repeated(lambda: ours(ipc)), "peer": repeated(peer), **floor(floor_name)}

    return opened


def segment(ipc: Ipc) -> None:
    """Create, attach, detach, remove."""
    with ipc.sysv_shm(4096) as made:
        made.attach().detach()


def segment_of_peer() -> None:
    """The same; its constructor attaches."""
    made = sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=4096)
    made.detach()
    made.remove()


def posix_shm(ipc: Ipc) -> None:
    """Create, map, unmap, remove."""
    with ipc.posix_shm(4096) as made:
        made.map().close()


def posix_shm_of_peer() -> None:
    """The same; its constructor maps."""
    made = shared_memory.SharedMemory(create=True, size=4096)
    made.close()
    made.unlink()


def fifo(ipc: Ipc) -> None:
    """Create and remove."""
    ipc.fifo().close()


def pipe(ipc: Ipc) -> None:
    """Create and close both ends."""
    ipc.pipe().close()


def pipe_of_peer() -> None:
    """The same."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)


@contextmanager
def semaphore() -> Iterator[Mapping[str, Way]]:
    """Release and acquire."""
    with scope() as ipc:
        ours = ipc.sysv_sem(1)
        peer = sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX)

        def ours_used() -> None:
            ours.release()
            ours.acquire()

        def peer_used() -> None:
            peer.release()
            peer.acquire()

        try:
            yield {"ours": repeated(ours_used), "peer": repeated(peer_used), **floor("semaphore")}
        finally:
            peer.remove()


@contextmanager
def message() -> Iterator[Mapping[str, Way]]:
    """Send and receive."""
    with scope() as ipc:
        ours = ipc.sysv_msg()
        peer = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)

        def ours_used() -> None:
            ours.send(TEXT)
            ours.receive()

        def peer_used() -> None:
            peer.send(TEXT)
            peer.receive()

        try:
            yield {"ours": repeated(ours_used), "peer": repeated(peer_used), **floor("message")}
        finally:
            peer.remove()


@contextmanager
def posix_queue() -> Iterator[Mapping[str, Way]]:
    """Send and receive."""
    with scope() as ipc:
        ours = ipc.posix_mq()
        peer = posix_ipc.MessageQueue(None, posix_ipc.O_CREX)
        peer.unlink()

        def ours_used() -> None:
            ours.send(TEXT)
            ours.receive()

        def peer_used() -> None:
            peer.send(TEXT)
            peer.receive()

        try:
            yield {"ours": repeated(ours_used), "peer": repeated(peer_used), **floor("posix_queue")}
        finally:
            peer.close()


@contextmanager
def posix_semaphore() -> Iterator[Mapping[str, Way]]:
    """Post and wait."""
    with scope() as ipc:
        ours = ipc.posix_sem()
        peer = posix_ipc.Semaphore(None, posix_ipc.O_CREX)
        peer.unlink()

        def ours_used() -> None:
            ours.post()
            ours.wait()

        def peer_used() -> None:
            peer.release()
            peer.acquire()

        try:
            yield {"ours": repeated(ours_used), "peer": repeated(peer_used), **floor("posix_semaphore")}
        finally:
            peer.close()


@contextmanager
def fifos() -> Iterator[Mapping[str, Way]]:
    """Create and remove; the peer's path is in a directory that exists."""
    with scope() as ipc, tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/fifo"

        def peer() -> None:
            os.mkfifo(path, 0o600)
            os.unlink(path)

        yield {"ours": repeated(lambda: fifo(ipc)), "peer": repeated(peer), **floor("fifo")}


ROWS = (
    Row(
        "segment",
        "System V segment: create, attach, detach, remove",
        "sysv_ipc",
        Goal("ratio", 1.5),
        of_scope(segment, segment_of_peer, "segment"),
    ),
    Row(
        "posix-shm",
        "POSIX shared memory: create, map, unmap, remove",
        "multiprocessing.shared_memory",
        Goal("ratio", 1),
        of_scope(posix_shm, posix_shm_of_peer, "posix_shm"),
    ),
    Row("semaphore", "System V semaphore: release, acquire", "sysv_ipc", Goal("ratio", 2.5), semaphore),
    Row("message", "System V message: send, receive", "sysv_ipc", Goal("ratio", 2.5), message),
    Row("posix-queue", "POSIX queue: send, receive", "posix_ipc", Goal("ratio", 2.5), posix_queue),
    Row("posix-semaphore", "POSIX semaphore: post, wait", "posix_ipc", Goal("ratio", 4), posix_semaphore),
    Row("fifo", "FIFO: make, remove", "os.mkfifo, os.unlink", Goal("ratio", 3), fifos),
    Row("pipe", "pipe: create, close", "os.pipe, os.close", Goal("ratio", 1.5), of_scope(pipe, pipe_of_peer, "pipe")),
)
