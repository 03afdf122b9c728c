"""System V message queues and a model of them: two processes that send, receive by every selector, copy and resize (msgop(2))."""

from __future__ import annotations

from errno import E2BIG, EAGAIN, EINVAL, ENOMSG
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc import (
    IPC_NOWAIT,
    MSG_COPY,
    MSG_EXCEPT,
    MSG_NOERROR,
    msgctl_set,
    msgctl_stat,
    msgrcv,
    msgsnd,
)

from ..model import Model, fails

Message = tuple[int, bytes]
TYPES = st.sampled_from((1, 2, 3, 7))
LENGTHS = st.sampled_from((0, 1, 5, 16))


def receive(id: int, size: int, type: int, flags: int) -> Message:
    """In a peer: msgrcv(2) that does not wait."""
    message = msgrcv(id, size, type, flags | IPC_NOWAIT)
    return message.type, message.text


def chosen(queue: list[Message], type: int, flags: int) -> int | None:
    """Which message the manual's rule picks; its place in the queue."""
    if flags & MSG_COPY:
        return type if type < len(queue) else None
    places = range(len(queue))
    if type == 0:
        return next(iter(places), None)
    if type > 0:
        except_it = bool(flags & MSG_EXCEPT)
        return next((place for place in places if (queue[place][0] == type) != except_it), None)
    low_enough = [place for place in places if queue[place][0] <= -type]
    return min(low_enough, key=lambda place: (queue[place][0], place), default=None)


class Queue(Model):
    """One queue, as a list."""

    def __init__(self, *peers: Any) -> None:
        super().__init__(*peers)
        self.id = self.ipc.sysv_msg().id
        self.queue: list[Message] = []
        self.room = msgctl_stat(self.id).qbytes
        self.last = {"sent": 0, "received": 0}
        self.sent = 0

    @rule(peer=st.integers(0, 1), type=st.one_of(TYPES, st.sampled_from((0, -1))), length=LENGTHS)
    def send(self, peer: int, type: int, length: int) -> None:
        """Send a message that differs from those before it."""
        text = bytes((self.sent + n) % 251 for n in range(length))
        self.sent += 1

        def model() -> None:
            if type < 1:
                fails(EINVAL)
            if sum(len(text) for _, text in self.queue) + length > self.room or len(self.queue) + 1 > self.room:
                fails(EAGAIN)
            self.queue.append((type, text))
            self.last["sent"] = self.peers[peer].actor.pid

        who = self.peers[peer]
        self.same(f"{who}: msgsnd({type}, {text!r})", who.call(msgsnd, self.id, type, text, IPC_NOWAIT), model)

    @rule(
        peer=st.integers(0, 1),
        type=st.integers(-8, 8),
        size=LENGTHS,
        flags=st.sampled_from((0, MSG_NOERROR, MSG_EXCEPT, MSG_EXCEPT | MSG_NOERROR)),
    )
    def receive(self, peer: int, type: int, size: int, flags: int) -> None:
        """Receive by a selector."""

        def model() -> Message:
            place = chosen(self.queue, type, flags)
            if place is None:
                fails(ENOMSG)
            kind, text = self.queue[place]
            if len(text) > size and not flags & MSG_NOERROR:
                fails(E2BIG)
            del self.queue[place]
            self.last["received"] = self.peers[peer].actor.pid
            return kind, text[:size]

        who = self.peers[peer]
        words = "".join(
            f", {name}" for name, flag in (("MSG_EXCEPT", MSG_EXCEPT), ("MSG_NOERROR", MSG_NOERROR)) if flags & flag
        )
        self.same(
            f"{who}: msgrcv({size} bytes, type {type}{words})", who.call(receive, self.id, size, type, flags), model
        )

    @rule(qbytes=st.sampled_from((1, 4, 16, 4096)))
    def resize(self, qbytes: int) -> None:
        """Give the queue another size: what is in it stays."""
        self.same(
            f"qbytes = {qbytes}", partial(msgctl_set, self.id, qbytes=qbytes), partial(setattr, self, "room", qbytes)
        )

    @invariant()
    def the_kernel_counts_as_the_model_does(self) -> None:
        """IPC_STAT."""

        def kernel() -> tuple[int, ...]:
            ds = msgctl_stat(self.id)
            return ds.qnum, ds.cbytes, ds.qbytes, ds.lspid, ds.lrpid

        def model() -> tuple[int, ...]:
            bytes = sum(len(text) for _, text in self.queue)
            return len(self.queue), bytes, self.room, self.last["sent"], self.last["received"]

        self.sees("qnum, cbytes, qbytes, lspid, lrpid", kernel, model)


class Copies(Queue):
    """The same with MSG_COPY, which not every kernel has been built with."""

    @rule(place=st.integers(0, 4), noerror=st.sampled_from((0, MSG_NOERROR)))
    def copy(self, place: int, noerror: int) -> None:
        """Copy a message by its place; it stays. There is room for it: on what comes of less, see msgrcv.copy-noerror-truncates."""

        def model() -> Message:
            found = chosen(self.queue, place, MSG_COPY)
            if found is None:
                fails(ENOMSG)
            return self.queue[found]

        word = ", MSG_NOERROR" if noerror else ""
        self.same(
            f"msgrcv(place {place}, MSG_COPY{word})", partial(receive, self.id, 100, place, MSG_COPY | noerror), model
        )
