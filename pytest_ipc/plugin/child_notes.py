"""Notes of stopped children to their parent.

They lie in anonymous memory that forked children share: there is no descriptor that a test could close or reuse, and no
file that a child in another namespace or of another user could not write.
"""

from __future__ import annotations

from mmap import mmap

from ..unpatched import json, os

ADVICE = (
    "A child of os.fork() returned into pytest's own code and was stopped there. Start children with the `fork` fixture, which "
    "runs a function in them and brings back its result or its exception; or end them with os._exit() whatever happens."
)
_SLOTS, _SLOT = 32, 1 << 15  # children whose notes are not read yet, and bytes of a note


class Notes:
    """What stopped children have written, each in a slot of its own.

    The first byte is 1 when there is something new.
    """

    def __init__(self) -> None:
        size = _SLOT * (_SLOTS + 1)
        # Where no memory can be had children are stopped all the same, and only their notes are lost.
        try:
            self._memory: mmap | bytearray = mmap(-1, size)
        except OSError:
            self._memory = bytearray(size)

    def __bool__(self) -> bool:
        return self._memory[0] != 0

    def leave(self, note: dict[str, str]) -> None:
        """Write a note, in a child.

        The pid decides where the search for a slot begins: two children do not take the same.
        """
        while len(text := json.dumps(note).encode() + b"\n") > _SLOT:
            note["text"] = f"…\n{note['text'][len(note['text']) // 2 :]}"
        for number in range(_SLOTS):
            slot = _SLOT * (1 + (os.getpid() + number) % _SLOTS)
            if not self._memory[slot]:
                self._memory[slot : slot + len(text)] = text
                break
        self._memory[0] = 1

    def take(self) -> list[dict[str, str]]:
        """Return the notes that were written since the last call, in their order, and free their slots."""
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
