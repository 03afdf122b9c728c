"""Wait for a descriptor in a coroutine, without blocking the event loop: asyncio, trio, and anyio on either."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["readable"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


async def readable(fd: int, timeout: float | None) -> bool:
    """Wait until *fd* is readable or *timeout* seconds have passed; return whether it is readable."""
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            await trio.lowlevel.wait_readable(fd)
            return True
        return False
    return await _in_asyncio(fd, timeout)


async def _in_asyncio(fd: int, timeout: float | None) -> bool:
    import asyncio

    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, set_ready)
    try:
        async with asyncio.timeout(timeout):
            await ready
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
    return True
