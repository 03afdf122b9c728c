"""Pass notes from stopped children to their parent.

The notes are in anonymous memory shared with forked children: a test cannot close or reuse a descriptor of it, and a
child in another namespace or of another user can still write to it.
"""

from __future__ import annotations

from mmap import mmap

from ..unpatched import json, os

ADVICE = (
    "A child of os.fork() returned into pytest's own code and was stopped there. Start children with the `fork` "
    "fixture, which runs a function in a child and returns its result or raises its exception; or end each child with "
    "os._exit() in a finally clause."
)
_SLOTS, _SLOT = 32, 1 << 15  # number of unread notes, and bytes of a note


class Notes:
    """Hold the notes of stopped children, each in its own slot; the first byte is 1 if there are unread ones."""

    def __init__(self) -> None:
        size = _SLOT * (_SLOTS + 1)
        # Without memory, children are stopped all the same and only their notes are lost.
        try:
            self._memory: mmap | bytearray = mmap(-1, size)
        except OSError:
            self._memory = bytearray(size)

    def __bool__(self) -> bool:
        return self._memory[0] != 0

    def leave(self, note: dict[str, str]) -> None:
        """Write a note, in a child. The search for a slot begins at the pid, so that two children use two slots."""
        while len(text := json.dumps(note).encode() + b"\n") > _SLOT:
            note["text"] = f"…\n{note['text'][len(note['text']) // 2 :]}"
        for number in range(_SLOTS):
            slot = _SLOT * (1 + (os.getpid() + number) % _SLOTS)
            if not self._memory[slot]:
                self._memory[slot : slot + len(text)] = text
                break
        self._memory[0] = 1

    def close(self) -> None:
        """Free the memory. Notes of children that still live are lost."""
        memory, self._memory = self._memory, bytearray(_SLOT * (_SLOTS + 1))
        if isinstance(memory, mmap):
            memory.close()

    def take(self) -> list[dict[str, str]]:
        """Return the notes written since the last call, oldest first, and free their slots."""
        if not self._memory[0]:
            return []
        self._memory[0] = 0
        found = []
        for slot in range(_SLOT, _SLOT * (_SLOTS + 1), _SLOT):
            text, end, _ = self._memory[slot : slot + _SLOT].partition(b"\n")
            if end:
                self._memory[slot : slot + _SLOT] = bytes(_SLOT)
                found.append(json.loads(text))
        return sorted(found, key=lambda note: int(note["at"]))
