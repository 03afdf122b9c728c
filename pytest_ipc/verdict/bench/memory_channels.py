"""Channels in POSIX shared memory: the message is copied in, and a word says that it is there.

The other process sleeps on the word (futex(2)) or polls it. A message is in one piece, as shared memory is used; a
stream has places for as many messages as a pipe holds, and for two at least: one is written while the other is read.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, c_ubyte
from functools import partial
from mmap import PAGESIZE

from ...kernel.abi import machine
from .channel import MEMORY, NATIVE, Channel, End, NotMeasured, Setting
from .native_calls import Word

__all__ = ["loopback", "open_in_place", "open_polled", "open_with_futex"]

_STREAM = 65536  # bytes that a stream holds, as a pipe does
_FEWEST, _MOST = 2, 1024  # messages that it holds
_LINE = 128  # bytes between words: no two share a line of a cache
_WORDS = ("there", "back", "sent", "taken")

# Machines whose CPUs let others see two stores in their order. Elsewhere a word could be seen before its message, and
# Python has no memory barrier.
_STORES_IN_ORDER = {"x86_64", "i386", "s390x"}


def open_with_futex(setting: Setting) -> Channel:
    """Shared memory and futexes: copied in by the sender, and copied out by the receiver."""
    return _open(setting, copied_out=True)


def open_in_place(setting: Setting) -> Channel:
    """Shared memory and futexes: copied in by the sender, and read there by the receiver, without another copy."""
    return _open(setting, copied_out=False)


def open_polled(setting: Setting) -> Channel:
    """Shared memory with a polled word: neither process sleeps, and no call is made."""
    if machine() not in _STORES_IN_ORDER:
        raise NotMeasured(f"needs CPUs that keep stores in order; {machine()} does not", ends_all=True)
    return _open(setting, copied_out=True, polled=True)


def loopback() -> End:
    """Return an end in private memory that receives what it sends, for the cost of its own work."""
    memory = (c_ubyte * (4 * _LINE))()
    word, sent, taken = (Word(addressof(memory) + number * _LINE) for number in range(3))
    place = [memoryview(memory).cast("B")[3 * _LINE : 3 * _LINE + 1]]  # keeps the memory
    return _end(b"\0", word, word, place, place, sent, taken, copied_out=True, polled=True)


def _open(setting: Setting, *, copied_out: bool, polled: bool = False) -> Channel:
    size = setting.size
    room = -(-size // _LINE) * _LINE
    count = max(_FEWEST, min(_MOST, 1 << (_STREAM // size).bit_length() >> 1))  # a power of two, as Word.VALUES is
    memory = setting.ipc.posix_shm(PAGESIZE + (count + 1) * room).map()
    words = {name: Word(memory.address + number * _LINE) for number, name in enumerate(_WORDS)}
    starts = [PAGESIZE + number * room for number in range(count + 1)]
    *places, last = [memory.buf[start : start + size] for start in starts]
    end = partial(_end, setting.message, copied_out=copied_out, polled=polled)
    # Only the sending process uses the words of a stream from its side, so both ends have the same.
    ours = end(words["back"], words["there"], [last], places, words["sent"], words["taken"])
    peers = end(words["there"], words["back"], places, [last], words["sent"], words["taken"])
    calls = {MEMORY: 1} if polled else {NATIVE: 1, MEMORY: 1}
    return Channel(ours, peers, calls, calls)


def _end(
    message: bytes,
    incoming: Word,
    outgoing: Word,
    readable: list[memoryview],
    writable: list[memoryview],
    sent: Word,
    taken: Word,
    *,
    copied_out: bool,
    polled: bool,
) -> End:
    """Return an end that receives from the places *readable* and sends to *writable*.

    A word counts messages modulo Word.VALUES. In turns, a message is taken before the next is sent; in a stream, a
    place is written again when *taken* says that its message is.
    """
    buffer = memoryview(bytearray(len(message)))
    last = readable[0]

    def taking(word: Word, after: Callable[[int], None]) -> Callable[[], None]:
        view, wait_while, number = word.view, word.wait_while, 0

        def take() -> None:
            nonlocal number, last
            if polled:
                while view[0] == number:
                    pass
            else:
                wait_while(number)
            last = readable[number % len(readable)]
            if copied_out:
                buffer[:] = last
            number = (number + 1) % Word.VALUES
            after(number)

        return take

    def putting(word: Word, before: Callable[[int], None]) -> Callable[[], None]:
        view, store, number = word.view, word.store, 0

        def put() -> None:
            nonlocal number
            before(number)
            writable[number % len(writable)][:] = message
            number = (number + 1) % Word.VALUES
            if polled:
                view[0] = number
            else:
                store(number)

        return put

    def nothing(_number: int) -> None:
        pass

    def wait_for_a_place(number: int) -> None:
        full = (number - len(writable)) % Word.VALUES  # the value of *taken* while every place holds a message
        if polled:
            while taken.view[0] == full:
                pass
        else:
            taken.wait_while(full)

    def announce(number: int) -> None:
        if polled:
            taken.view[0] = number
        else:
            taken.store(number)

    return End(
        putting(outgoing, nothing),
        taking(incoming, nothing),
        lambda: bytes(buffer if copied_out else last),
        putting(sent, wait_for_a_place),
        taking(sent, announce),
    )
