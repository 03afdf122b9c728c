"""The mechanisms that are measured: one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..command_error import CommandError
from .byte_channels import open_fifo, open_inet, open_pipe, open_unix_stream
from .channel import Opening
from .event_channels import open_eventfd, open_signal
from .memory_channels import open_in_place, open_polled, open_with_futex
from .message_channels import open_posix_queue, open_seqpacket, open_sysv_queue, open_unix_datagram

__all__ = ["MECHANISMS", "Mechanism", "named"]


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


def named(names: Sequence[str]) -> list[Mechanism]:
    """Return the mechanisms with these ids, or all without a name. CommandError for an unknown one."""
    known = [mechanism.id for mechanism in MECHANISMS]
    for name in names:
        if name not in known:
            raise CommandError(f"{name!r} is not a mechanism; pytest-ipc bench --list shows them: {', '.join(known)}")
    return [mechanism for mechanism in MECHANISMS if not names or mechanism.id in names]
