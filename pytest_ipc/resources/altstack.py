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
    """The alternate stack of the thread that created it, for handlers with SA_ONSTACK (sigaltstack(2)).

    Its memory is shared with forked children, so that a test can see the traces of a child's handler in it. Created by
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
        """Set an alternate stack of *size* bytes for this thread (sigaltstack(2)).

        Raises OSError (ENOMEM if *size* is too small).
        """
        return cls(check_size(size, "an alternate stack"), flags)

    def __repr__(self) -> str:
        return f"<AlternateStack of {self.size} bytes at {self.address:#x}>"

    @property
    def memory(self) -> bytes:
        """Return the content of the stack: all zeros until a handler has run on it."""
        self._usable()
        return self._memory[:]

    def _end(self) -> None:
        # Restore the previous stack, unless another has replaced this one.
        if sigaltstack().sp == self.address:
            sigaltstack(self._before)
        self._memory.close()
