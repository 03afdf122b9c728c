"""An alternate signal stack as an object: sigaltstack(2)."""

from __future__ import annotations

import mmap
from ctypes import addressof, c_char
from typing import Self

from ..kernel.altstack import SS_ONSTACK, Stack, sigaltstack
from ..resource import Resource, check_size

__all__ = ["AlternateStack"]

__tracebackhide__ = True  # pytest ends a traceback at the line that called


class AlternateStack(Resource):
    """Memory that handlers with SA_ONSTACK run on, in the thread that made it, until it ends (sigaltstack(2)).

    It is shared with forked children, so that a test can see in it what a child's handler has left there. Made by
    `Signals.alternate_stack`.
    """

    def __init__(self, size: int, flags: int) -> None:
        self._memory = mmap.mmap(-1, size)
        start = c_char.from_buffer(self._memory)
        self.address: int = addressof(start)
        self.size: int = len(self._memory)
        del start
        try:
            before = sigaltstack(Stack(self.address, self.size, flags))
        except OSError:
            self._memory.close()
            raise
        self._before = Stack(before.sp, before.size, before.flags & ~SS_ONSTACK)
        super().__init__()

    @classmethod
    def create(cls, size: int = 1 << 16, *, flags: int = 0) -> Self:
        """sigaltstack(2): an alternate stack of *size* bytes for this thread.

        OSError (ENOMEM when that is too little).
        """
        return cls(check_size(size, "an alternate stack"), flags)

    def __repr__(self) -> str:
        return f"<AlternateStack of {self.size} bytes at {self.address:#x}>"

    @property
    def memory(self) -> bytes:
        """What lies there now: all zeros until a handler has run on it."""
        self._usable()
        return self._memory[:]

    def _end(self) -> None:
        # The one before, unless somebody has put another in this one's place.
        if sigaltstack().sp == self.address:
            sigaltstack(self._before)
        self._memory.close()
