"""UNIX sockets under concurrency: a pair that preserves message boundaries, SOCK_DGRAM or SOCK_SEQPACKET."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from socket import AF_UNIX, MSG_DONTWAIT, MSG_PEEK, SHUT_WR, SOCK_DGRAM, SOCK_SEQPACKET, SocketKind, socket

from pytest_ipc import Ipc
from pytest_ipc.kernel import recv, send

from ..concurrency.history import History
from ..concurrency.plan import Act
from ..concurrency.workload import Here, Workload
from .specification import PairSpec

Pair = tuple[int, int]


class Packets(Workload):
    """A pair of SOCK_SEQPACKET sockets, one of which may be shut down for writing."""

    type = SOCK_SEQPACKET
    shutting = 0.15
    sleeping = (("send", "send"), ("recv", "recv"))

    def make(self, ipc: Ipc) -> Pair:
        first, second = ipc.sockets.pair(SocketKind(self.type))
        return first.fileno(), second.fileno()

    def descriptors(self, shared: Pair) -> tuple[int, ...]:
        return shared

    def specification(self, shared: Pair, history: History) -> PairSpec:
        return PairSpec()

    def programs(self, random: Random, workers: int) -> Iterator[list[Act]]:
        ends = random.choice(((0,), (0, 1)))
        waiting, peeking = random.choice((0.0, 0.2, 0.5)), random.choice((0.0, 0.2))
        shutting = random.choice((0.0, self.shutting))
        if shutting:
            ends, waiting = (0,), 0.7
        sending = random.uniform(0.35, 0.6) if not shutting else 0.1
        for worker in range(workers):
            acts = []
            for number in range(self.calls):
                end = random.choice(ends)
                wait = 0 if random.random() < waiting else MSG_DONTWAIT
                if random.random() < shutting:
                    acts.append(Act("shutdown", (end,)))
                elif random.random() < sending:
                    text = f"{chr(97 + worker)}{number}".encode() * random.choice((1, 1, 20))
                    acts.append(Act("send", (end, text, int(wait))))
                else:
                    # No blocking MSG_PEEK: see the clause recv.peek-wakes-the-next.
                    flags = MSG_PEEK | MSG_DONTWAIT if random.random() < peeking else wait
                    acts.append(Act("recv", (1 - end, int(flags))))
            yield acts

    def closing(self, shared: Pair) -> tuple[Act, ...]:
        return tuple(Act("recv", (end, int(MSG_DONTWAIT))) for end in (0, 1, 0, 1))

    def enter(self, here: Here) -> tuple[int, ...]:
        return here.fds

    def send(self, pair: Pair, end: int, text: bytes, flags: int) -> int:
        return send(pair[end], text, flags)

    def recv(self, pair: Pair, end: int, flags: int) -> bytes:
        return recv(pair[end], 200, flags)

    def shutdown(self, pair: Pair, end: int) -> None:
        whole = socket(AF_UNIX, self.type, fileno=pair[end])
        try:
            whole.shutdown(SHUT_WR)
        finally:
            whole.detach()


class Datagrams(Packets):
    """A pair of SOCK_DGRAM sockets."""

    type = SOCK_DGRAM
    shutting = 0.0
