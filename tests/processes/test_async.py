"""Children and programs are awaited in coroutines, while other tasks go on."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

import pytest

from pytest_ipc import ChildDied, Ipc


def in_asyncio(main: Callable[[], Coroutine[Any, Any, object]]) -> None:
    asyncio.run(main())


def in_trio(main: Callable[[], Coroutine[Any, Any, object]]) -> None:
    pytest.importorskip("trio").run(main)


RUNNERS = pytest.mark.parametrize("run", [in_asyncio, in_trio])


def answer(pipe_end: int) -> str:
    return os.read(pipe_end, 10).decode()


def test_other_tasks_of_asyncio_run_meanwhile(ipc: Ipc):
    pipe = ipc.pipe()
    child = ipc.fork(answer, pipe.read_fd)

    async def write() -> None:
        child.wait_blocked("read")
        os.write(pipe.write_fd, b"written")

    async def main() -> None:
        # The second task begins when the first one waits: never, if that blocks the loop.
        result, _ = await asyncio.gather(child.result_async(timeout=10), write())
        assert result == "written"

    in_asyncio(main)


def test_other_tasks_of_trio_run_meanwhile(ipc: Ipc):
    trio = pytest.importorskip("trio")
    pipe = ipc.pipe()
    child = ipc.fork(answer, pipe.read_fd)
    results = []

    begun = trio.Event()

    async def wait() -> None:
        begun.set()
        results.append(await child.result_async(timeout=10))

    async def write() -> None:
        await begun.wait()  # with nothing after it but the wait: it runs if that lets it
        child.wait_blocked("read")
        os.write(pipe.write_fd, b"written")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(write)

    in_trio(main)
    assert results == ["written"]


@RUNNERS
def test_a_timeout_says_what_the_child_does(ipc: Ipc, run):
    child = ipc.fork(signal.pause)
    child.wait_blocked("pause")

    async def main() -> None:
        with pytest.raises(
            TimeoutError, match=r"waited 0.01 s for <child \d+ \(pause\)> to end; it was in state S, in pause"
        ):
            await child.wait_async(timeout=0.01)
        assert child.alive

    run(main)


@RUNNERS
def test_a_program_is_awaited(ipc: Ipc, run):
    program = ipc.spawn(["sh", "-c", "read line; exit $line"], stdin=b"7\n")

    async def main() -> None:
        assert await program.wait_async(timeout=60) == 7
        assert await program.wait_async(timeout=60) == 7

    run(main)


def test_exceptions_are_those_of_the_plain_waits(ipc: Ipc):
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await ipc.fork(divmod, 1, 0).result_async()
        with pytest.raises(ChildDied, match="exited with status 3"):
            await ipc.fork(os._exit, 3).result_async()

    in_asyncio(main)


def test_a_cancelled_wait_leaves_no_reader(ipc: Ipc):
    child = ipc.fork(signal.pause)

    async def main() -> None:
        task = asyncio.ensure_future(child.wait_async(timeout=None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert child.pidfd is not None
        assert not asyncio.get_running_loop().remove_reader(child.pidfd)
        child.signal(signal.SIGTERM)
        assert await child.wait_async(timeout=60) == -signal.SIGTERM

    in_asyncio(main)


def test_without_pidfds_it_says_so(ipc: Ipc, monkeypatch):
    leader = import_module("pytest_ipc.processes.leader")
    monkeypatch.setattr(leader, "_pidfd", lambda _pid: None)
    child = ipc.fork(signal.pause)

    async def main() -> None:
        with pytest.raises(OSError, match=r"pidfd_open\(2\) is not available") as caught:
            await child.wait_async()
        assert caught.value.errno == errno.ENOSYS

    in_asyncio(main)
    assert child.alive
