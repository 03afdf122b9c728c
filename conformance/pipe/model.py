"""A model of pipes: several non-blocking read ends and write ends of one pipe (pipe(7))."""

from __future__ import annotations

import os
from functools import partial
from select import POLLHUP
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc.kernel import getpipe_size

from ..byte_stream import COUNTS, Stream, StreamModel, ready

MAX_ENDS = 3  # per kind: read ends, write ends


class Pipes(StreamModel):
    """One pipe, whose ends are duplicated and closed in random order."""

    stream = Stream(0)
    made = 0

    @precondition(lambda self: not self.stream.readers and not self.stream.writers)
    @rule(capacity=st.sampled_from((4096, 8192, 65536)))
    def make(self, capacity: int) -> None:
        """Create a pipe with a random capacity when all ends of the previous one are closed."""
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
        """Write to a random write end."""
        self.write_to(self.stream, self.one_of(data, [*self.stream.writers]), count)

    @precondition(lambda self: self.stream.readers)
    @rule(data=st.data(), count=st.sampled_from(COUNTS))
    def read(self, data: Any, count: int) -> None:
        """Read from a random read end."""
        self.read_from(self.stream, self.one_of(data, [*self.stream.readers]), count)

    @precondition(lambda self: self.stream.readers or self.stream.writers)
    @rule(data=st.data())
    def duplicate(self, data: Any) -> None:
        """Duplicate an end."""
        ends = self.one_of(data, [ends for ends in (self.stream.readers, self.stream.writers) if ends])
        if len(ends) < MAX_ENDS:
            name = self.one_of(data, [*ends])
            self.made += 1
            ends[f"{name[0]}{self.made}"] = os.dup(ends[name])
            self.history.append(f"{name[0]}{self.made} = dup({name})")

    @precondition(lambda self: self.stream.readers or self.stream.writers)
    @rule(data=st.data())
    def close(self, data: Any) -> None:
        """Close an end."""
        ends = self.one_of(data, [ends for ends in (self.stream.readers, self.stream.writers) if ends])
        self.close_end(ends, self.one_of(data, [*ends]))

    @invariant()
    def the_ends_notice(self) -> None:
        """Compare poll() and FIONREAD of every end with the model."""
        self.notices(self.stream)
        for name, fd in self.stream.readers.items():
            self.sees(f"POLLHUP of {name}", partial(ready, fd, POLLHUP), partial(bool, not self.stream.writers))

    def teardown(self) -> None:
        """Close all ends."""
        for fd in (*self.stream.readers.values(), *self.stream.writers.values()):
            os.close(fd)
        super().teardown()
