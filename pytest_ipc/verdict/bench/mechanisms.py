"""The mechanisms that are measured: one row each."""

from __future__ import annotations

from dataclasses import dataclass

from .byte_channels import open_fifo, open_inet, open_pipe, open_unix_stream
from .channel import Opening
from .event_channels import open_eventfd, open_signal
from .memory_channels import open_in_place, open_polled, open_with_futex
from .message_channels import open_posix_queue, open_seqpacket, open_sysv_queue, open_unix_datagram

__all__ = ["MECHANISMS", "Mechanism"]


@dataclass(frozen=True)
class Mechanism:
    """A mechanism: `id` in reports, `title` for people, `opening` opens its channel."""

    id: str
    title: str
    opening: Opening
    is_shared_memory: bool = False
    needs_two_cpus: bool = False


MECHANISMS = (
    Mechanism("shm-futex", "shared memory, futex", open_with_futex, is_shared_memory=True),
    Mechanism("shm-in-place", "shared memory, in place", open_in_place, is_shared_memory=True),
    Mechanism("shm-polled", "shared memory, polled", open_polled, is_shared_memory=True, needs_two_cpus=True),
    Mechanism("pipe", "pipe", open_pipe),
    Mechanism("fifo", "FIFO", open_fifo),
    Mechanism("unix-stream", "UNIX stream", open_unix_stream),
    Mechanism("unix-datagram", "UNIX datagram", open_unix_datagram),
    Mechanism("unix-seqpacket", "UNIX seqpacket", open_seqpacket),
    Mechanism("inet", "TCP loopback", open_inet),
    Mechanism("sysv-queue", "System V queue", open_sysv_queue),
    Mechanism("posix-queue", "POSIX queue", open_posix_queue),
    Mechanism("eventfd", "eventfd", open_eventfd),
    Mechanism("signal", "signal", open_signal),
)
