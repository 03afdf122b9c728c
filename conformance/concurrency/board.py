"""The board: memory shared by all workers, in which they record their calls without a lock.

Each worker writes only to its own part: its position, the begin and return times of each call on one clock, and the
results. A killed worker's records stay.
"""

from __future__ import annotations

import marshal
import mmap
from time import monotonic_ns
from typing import Any

__all__ = ["CALLS", "DONE", "Board", "Part"]

CALLS = 24  # calls of one worker in one history
ROOM = 512  # bytes for the result of a call
DONE = 1 << 20  # the position of a worker that has finished
_HEAD = 4  # words of a worker: position, thread id, meeting, stop
_WORDS = _HEAD + 3 * CALLS


class Board:
    """Shared memory for *workers* workers."""

    def __init__(self, workers: int) -> None:
        self._size = 8 * _WORDS + ROOM * CALLS
        self._memory = mmap.mmap(-1, self._size * workers)
        whole = memoryview(self._memory)
        self.parts = [Part(whole[self._size * n : self._size * (n + 1)]) for n in range(workers)]

    def close(self) -> None:
        """Free the memory, unless parts of it are still in use."""
        for part in self.parts:
            part.release()
        self.parts = []


class Part:
    """The part of one worker. `words` are 64-bit: position, thread id, meeting, stop; begin, return, length per call.

    The position is 2n before call n, 2n + 1 in it, and DONE at the end.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self.words = memory[: 8 * _WORDS].cast("Q")
        self.results = memory[8 * _WORDS :]

    def release(self) -> None:
        """Release the views of the memory."""
        for view in (self.words, self.results, self._memory):
            view.release()

    @property
    def position(self) -> int:
        """The position of the worker."""
        return self.words[0]

    @position.setter
    def position(self, value: int) -> None:
        self.words[0] = value

    @property
    def made(self) -> tuple[int, int]:
        """The numbers of calls that the worker has returned from, and begun."""
        position = self.position % DONE
        return position // 2, (position + 1) // 2

    @property
    def thread(self) -> int:
        """The worker's thread id."""
        return self.words[1]

    @thread.setter
    def thread(self, value: int) -> None:
        self.words[1] = value

    @property
    def stop(self) -> bool:
        """Whether the worker skips the rest of its program."""
        return bool(self.words[3])

    @stop.setter
    def stop(self, value: bool) -> None:
        self.words[3] = value

    def begin(self, call: int) -> None:
        """Record that call number *call* begins now."""
        words = self.words
        words[_HEAD + call] = monotonic_ns()
        words[0] = 2 * call + 1

    def end(self, call: int, errno: int, value: Any) -> None:
        """Record that the call has just returned: with *errno*, and its text as *value*, or with *value*."""
        words = self.words
        words[_HEAD + CALLS + call] = monotonic_ns()
        data = marshal.dumps((errno, value))
        if len(data) > ROOM:
            raise ValueError(f"the result of a call must take at most {ROOM} bytes, not {len(data)}")
        self.results[ROOM * call : ROOM * call + len(data)] = data
        words[_HEAD + 2 * CALLS + call] = len(data)
        words[0] = 2 * call + 2

    def call(self, number: int) -> tuple[int, int]:
        """Return when call *number* began and when it returned."""
        return self.words[_HEAD + number], self.words[_HEAD + CALLS + number]

    def result(self, number: int) -> tuple[int, Any]:
        """Return the errno of call *number*, 0 if it succeeded, and its value or error text."""
        length = self.words[_HEAD + 2 * CALLS + number]
        found: tuple[int, Any] = marshal.loads(self.results[ROOM * number : ROOM * number + length])
        return found
