"""Each measured mechanism transfers messages of each size intact, in turns and in a stream."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from hashlib import sha256

import pytest

from pytest_ipc import scope
from pytest_ipc.resources.shared_memory import SharedMemory
from pytest_ipc.verdict.bench.channel import Channel, NotMeasured, Setting
from pytest_ipc.verdict.bench.mechanisms import MECHANISMS, Mechanism
from pytest_ipc.verdict.bench.memory_channels import loopback
from pytest_ipc.verdict.bench.native_calls import Word
from pytest_ipc.verdict.bench.sampling import FULL, QUICK

TRANSFERRING = [mechanism for mechanism in MECHANISMS if mechanism.id not in ("eventfd", "signal")]
NOTIFYING = [mechanism for mechanism in MECHANISMS if mechanism not in TRANSFERRING]
SIZES = sorted({*FULL.sizes, *QUICK.sizes, 5000, 70_001})  # the last two are not multiples of a limit
IN_A_STREAM = 5


def name(mechanism: Mechanism) -> str:
    return mechanism.id


def skip_if_polling_cannot_be_tried(mechanism: Mechanism) -> None:
    if mechanism.needs_two_cpus and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs 2 CPUs")


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def answer(channel: Channel) -> str:
    """Take a message and answer it; return the digest of what came."""
    channel.peers.receive()
    came = digest(channel.peers.received())
    channel.peers.send()
    return came


def take(channel: Channel) -> set[str]:
    """Take a stream; return the digests of what came."""
    receive = channel.peers.stream_receive or channel.peers.receive
    came = set()
    for _ in range(IN_A_STREAM):
        receive()
        came.add(digest(channel.peers.received()))
    return came


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mechanism", TRANSFERRING, ids=name)
def test_message_arrives_intact_in_both_directions(mechanism, size):
    skip_if_polling_cannot_be_tried(mechanism)
    message = os.urandom(size)
    with ExitStack() as undo, scope() as ipc:
        channel = mechanism.opening(Setting(ipc, undo, message))
        child = ipc.fork(answer, channel)
        channel.ours.send()
        channel.ours.receive()
        assert channel.ours.received() == message
        assert child.result(timeout=60) == digest(message)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mechanism", TRANSFERRING, ids=name)
def test_stream_arrives_intact(mechanism, size):
    """A receiver that is slower than the sender finds each message as it was sent."""
    skip_if_polling_cannot_be_tried(mechanism)
    message = os.urandom(size)
    with ExitStack() as undo, scope() as ipc:
        channel = mechanism.opening(Setting(ipc, undo, message))
        send = channel.ours.stream_send or channel.ours.send
        child = ipc.fork(take, channel)
        for _ in range(IN_A_STREAM):
            send()
        assert child.result(timeout=60) == {digest(message)}


@pytest.mark.parametrize("mechanism", NOTIFYING, ids=name)
def test_notification_carries_its_number(mechanism):
    message = os.urandom(1)
    with ExitStack() as undo, scope() as ipc:
        channel = mechanism.opening(Setting(ipc, undo, message))
        child = ipc.fork(answer, channel)
        channel.started(child.pid)
        channel.ours.send()
        channel.ours.receive()
        assert channel.ours.received() == message
        assert child.result(timeout=60) == digest(message)
        assert not channel.carries_data


@pytest.mark.parametrize("mechanism", NOTIFYING, ids=name)
def test_notification_of_more_than_a_number_is_not_measured(mechanism):
    with ExitStack() as undo, scope() as ipc, pytest.raises(NotMeasured, match="carries one number, and no data"):
        mechanism.opening(Setting(ipc, undo, bytes(4096)))


def test_signals_are_blocked_only_during_the_measurement():
    def measure() -> None:  # in a child, as it has one thread: another one could take the signal, and die of it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        mechanism = next(mechanism for mechanism in MECHANISMS if mechanism.id == "signal")
        with ExitStack() as undo, scope() as ipc:
            channel = mechanism.opening(Setting(ipc, undo, b"a"))
            channel.started(os.getpid())
            channel.ours.send()  # nobody takes it: it would kill this process when it is no longer blocked
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) != before
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        assert not signal.sigpending()

    with scope() as ipc:
        ipc.fork(measure).result()


def test_a_message_beyond_a_limit_is_sent_in_pieces():
    mechanism = next(mechanism for mechanism in MECHANISMS if mechanism.id == "posix-queue")
    with ExitStack() as undo, scope() as ipc:
        channel = mechanism.opening(Setting(ipc, undo, bytes(3 * 8192 + 1)))
    assert (channel.pieces, channel.send_calls) == (4, {"native": 4})


def test_loopback_receives_what_it_sends():
    """The floor of shared memory is measured with it."""
    end = loopback()
    for _ in range(3 * Word.VALUES):
        end.send()
        end.receive()
    assert end.received() == b"\0"


def test_shared_memory_holds_no_more_than_three_messages():
    """The largest messages fit into the 64 MB that docker gives to /dev/shm."""
    mechanism = next(mechanism for mechanism in MECHANISMS if mechanism.id == "shm-futex")
    with ExitStack() as undo, scope() as ipc:
        mechanism.opening(Setting(ipc, undo, bytes(max(FULL.sizes))))
        (memory,) = (owned for owned in ipc.scope.owned() if isinstance(owned, SharedMemory))
        assert memory.size <= 64 << 20
