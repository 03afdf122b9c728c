"""Pipes and a model of them: several read ends and write ends of one pipe, none of which blocks (pipe(7))."""

from __future__ import annotations

import os
from functools import partial
from select import POLLHUP
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc.kernel import getpipe_size

from ..byte_stream import COUNTS, Stream, StreamModel, ready

MOST = 3  # ends of a kind


class Pipes(StreamModel):
    """One pipe, its ends duplicated and closed in any order."""

    stream = Stream(0)
    made = 0

    @precondition(lambda self: not self.stream.readers and not self.stream.writers)
    @rule(capacity=st.sampled_from((4096, 8192, 65536)))
    def make(self, capacity: int) -> None:
        """Make a pipe of some size, when the one before has gone."""
        pipe = self.ipc.pipe(flags=os.O_NONBLOCK | os.O_CLOEXEC, capacity=capacity)
        self.made += 1
        self.stream = Stream(
            getpipe_size(pipe.read_fd),
            readers={f"r{self.made}": os.dup(pipe.read_fd)},
            writers={f"w{self.made}": os.dup(pipe.write_fd)},
        )
        pipe.close()
        self.history.append(f"r{self.made}, w{self.made} = a pipe of {self.stream.capacity} bytes")

    @precondition(lambda self: self.stream.writers)
    @rule(data=st.data(), count=st.sampled_from(COUNTS))
    def write(self, data: Any, count: int) -> None:
        """Write."""
        self.write_to(self.stream, self.one_of(data, [*self.stream.writers]), count)

    @precondition(lambda self: self.stream.readers)
    @rule(data=st.data(), count=st.sampled_from(COUNTS))
    def read(self, data: Any, count: int) -> None:
        """Read."""
        self.read_from(self.stream, self.one_of(data, [*self.stream.readers]), count)

    @precondition(lambda self: self.stream.readers or self.stream.writers)
    @rule(data=st.data())
    def duplicate(self, data: Any) -> None:
        """One end more."""
        ends = self.one_of(data, [ends for ends in (self.stream.readers, self.stream.writers) if ends])
        if len(ends) < MOST:
            name = self.one_of(data, [*ends])
            self.made += 1
            ends[f"{name[0]}{self.made}"] = os.dup(ends[name])
            self.history.append(f"{name[0]}{self.made} = dup({name})")

    @precondition(lambda self: self.stream.readers or self.stream.writers)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """One end less."""
        ends = self.one_of(data, [ends for ends in (self.stream.readers, self.stream.writers) if ends])
        self.close_end(ends, self.one_of(data, [*ends]))

    @invariant()
    def the_ends_notice(self) -> None:
        """What can be asked without reading."""
        self.notices(self.stream)
        for name, fd in self.stream.readers.items():
            self.sees(f"POLLHUP of {name}", partial(ready, fd, POLLHUP), partial(bool, not self.stream.writers))

    def teardown(self) -> None:
        """Close what is open."""
        for fd in (*self.stream.readers.values(), *self.stream.writers.values()):
            os.close(fd)
        super().teardown()
