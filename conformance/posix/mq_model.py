"""A model of POSIX message queues: opened by name, sent by priority, unlinked and created again (mq_overview(7))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from errno import EAGAIN, EEXIST, EMSGSIZE, ENOENT
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc.kernel import MqAttr, mq_close, mq_getattr, mq_open, mq_receive, mq_send, mq_unlink

from ..model import Model, fails
from ..on_record import ReservedName

MAXMSG, MSGSIZE = 3, 4
OPEN = os.O_RDWR | os.O_NONBLOCK
PRIORITIES = st.sampled_from((0, 1, 2, 31))


@dataclass
class Queue:
    """The state of a queue in the model: its messages, the next one first."""

    messages: list[tuple[bytes, int]] = field(default_factory=list)


class Queues(Model):
    """One name, and every queue that had this name and is still open in a process."""

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        self.name = ReservedName.mq(self.ipc.scope).name
        self.named: Queue | None = None
        self.open: dict[Any, tuple[int, Queue]] = {}
        self.sent = 0

    @rule(worker=st.integers(0, 1), flags=st.sampled_from((0, os.O_CREAT, os.O_CREAT | os.O_EXCL)))
    def open_it(self, worker: int, flags: int) -> None:
        """Open or create the queue in a process that does not have it open."""
        who = self.workers[worker]
        if who in self.open:
            return
        got: list[int] = []

        def model() -> None:
            if self.named is None and not flags & os.O_CREAT:
                fails(ENOENT)
            if self.named is not None and flags & os.O_EXCL:
                fails(EEXIST)
            self.named = self.named or Queue()

        attr = MqAttr(maxmsg=MAXMSG, msgsize=MSGSIZE)
        words = {0: "", os.O_CREAT: ", O_CREAT", os.O_CREAT | os.O_EXCL: ", O_CREAT | O_EXCL"}[flags]
        self.same(
            f"{who}: mq_open(Q{words})",
            lambda: got.append(who.do(mq_open, self.name, OPEN | flags, 0o600, attr)),
            model,
        )
        if got:
            assert self.named is not None
            self.open[who] = got[0], self.named

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """Close the queue; its messages stay while it has a name."""
        who = self.one_of(data, [*self.open])
        self.same(f"{who}: mq_close()", who.call(mq_close, self.open.pop(who)[0]), lambda: None)

    @rule()
    def unlink(self) -> None:
        """Unlink the name; open descriptors stay usable."""

        def model() -> None:
            if self.named is None:
                fails(ENOENT)
            self.named = None

        self.same("mq_unlink(Q)", partial(mq_unlink, self.name), model)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), priority=PRIORITIES, length=st.integers(0, MSGSIZE + 1))
    def send(self, data: Any, priority: int, length: int) -> None:
        """Send a message with a text that differs from the previous ones."""
        who = self.one_of(data, [*self.open])
        mqdes, queue = self.open[who]
        text = bytes((self.sent + n) % 251 for n in range(length))
        self.sent += 1

        def model() -> None:
            if length > MSGSIZE:
                fails(EMSGSIZE)
            if len(queue.messages) == MAXMSG:
                fails(EAGAIN)
            behind = [place for place, (_, other) in enumerate(queue.messages) if other < priority]
            queue.messages.insert(min(behind, default=len(queue.messages)), (text, priority))

        self.same(f"{who}: mq_send({text!r}, priority {priority})", who.call(mq_send, mqdes, text, priority), model)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), size=st.sampled_from((MSGSIZE - 1, MSGSIZE, 100)))
    def receive(self, data: Any, size: int) -> None:
        """Receive the oldest message of the highest priority; the buffer must hold mq_msgsize bytes."""
        who = self.one_of(data, [*self.open])
        mqdes, queue = self.open[who]

        def model() -> tuple[bytes, int]:
            if size < MSGSIZE:
                fails(EMSGSIZE)
            if not queue.messages:
                fails(EAGAIN)
            return queue.messages.pop(0)

        self.same(f"{who}: mq_receive({size} bytes)", who.call(mq_receive, mqdes, size), model)

    @invariant()
    def the_kernel_counts_as_the_model_does(self) -> None:
        """Compare mq_getattr(3) with the model."""
        for who, (mqdes, queue) in self.open.items():

            def kernel(who: Any = who, mqdes: int = mqdes) -> tuple[int, int, int]:
                attr = who.do(mq_getattr, mqdes)
                return attr.maxmsg, attr.msgsize, attr.curmsgs

            def model(queue: Queue = queue) -> tuple[int, int, int]:
                return MAXMSG, MSGSIZE, len(queue.messages)

            self.sees(f"{who}: maxmsg, msgsize, curmsgs", kernel, model)

    def teardown(self) -> None:
        """Close all descriptors and remove the queue."""
        for who, (mqdes, _) in self.open.items():
            who.do(mq_close, mqdes)
        super().teardown()
