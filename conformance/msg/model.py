"""A model of System V message queues: two processes send, receive with every selector, copy and resize (msgop(2))."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from pytest_ipc.kernel import IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, msgctl_set, msgctl_stat, msgrcv, msgsnd

from ..model import Model
from ..specification import Call
from .specification import QueueSpec

TYPES = st.sampled_from((1, 2, 3, 7))
LENGTHS = st.sampled_from((0, 1, 5, 16))


def receive(id: int, size: int, type: int, flags: int) -> tuple[int, bytes]:
    """Call msgrcv(2) in a worker process."""
    message = msgrcv(id, size, type, flags)
    return message.type, message.text


class Queue(Model):
    """One queue, compared with its specification."""

    state: QueueSpec

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        self.id = self.ipc.sysv_msg().id
        self.state = QueueSpec(msgctl_stat(self.id).qbytes)
        self.last = {"sent": 0, "received": 0}
        self.sent = 0

    @rule(worker=st.integers(0, 1), type=st.one_of(TYPES, st.sampled_from((0, -1))), length=LENGTHS)
    def send(self, worker: int, type: int, length: int) -> None:
        """Send a message with a text that differs from the previous ones."""
        text = bytes((self.sent + n) % 251 for n in range(length))
        self.sent += 1
        who, arguments = self.workers[worker], (type, text, IPC_NOWAIT)
        if self.follows(Call(str(who), "msgsnd", arguments), who.call(msgsnd, self.id, *arguments)):
            self.last["sent"] = who.child.pid

    @rule(
        worker=st.integers(0, 1),
        type=st.integers(-8, 8),
        size=LENGTHS,
        flags=st.sampled_from((0, MSG_NOERROR, MSG_EXCEPT, MSG_EXCEPT | MSG_NOERROR)),
    )
    def receive(self, worker: int, type: int, size: int, flags: int) -> None:
        """Receive with a selector."""
        who, arguments = self.workers[worker], (size, type, flags | IPC_NOWAIT)
        if self.follows(Call(str(who), "msgrcv", arguments), who.call(receive, self.id, *arguments)):
            self.last["received"] = who.child.pid

    @rule(qbytes=st.sampled_from((1, 4, 16, 4096)))
    def resize(self, qbytes: int) -> None:
        """Set msg_qbytes; the messages stay."""
        self.follows(Call("main", "set_qbytes", (qbytes,)), partial(msgctl_set, self.id, qbytes=qbytes))

    @invariant()
    def the_kernel_counts_as_the_model_does(self) -> None:
        """Compare the fields of IPC_STAT with the model."""

        def kernel() -> tuple[int, ...]:
            ds = msgctl_stat(self.id)
            return ds.qnum, ds.cbytes, ds.qbytes, ds.lspid, ds.lrpid

        def model() -> tuple[int, ...]:
            messages = self.state.messages
            bytes = sum(len(text) for _, text in messages)
            return len(messages), bytes, self.state.qbytes, self.last["sent"], self.last["received"]

        self.sees("qnum, cbytes, qbytes, lspid, lrpid", kernel, model)


class Copies(Queue):
    """The same with MSG_COPY, which needs CONFIG_CHECKPOINT_RESTORE."""

    @rule(place=st.integers(0, 4), noerror=st.sampled_from((0, MSG_NOERROR)))
    def copy(self, place: int, noerror: int) -> None:
        """Copy a message by position; it stays. The buffer is large enough; see msgrcv.copy-noerror-truncates."""

        arguments = 100, place, MSG_COPY | IPC_NOWAIT | noerror
        self.follows(Call("main", "msgrcv", arguments), partial(receive, self.id, *arguments))
