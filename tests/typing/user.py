"""What users write, for type checkers alone: every public attribute of every class, and mistakes that must be errors.

It is never run. mypy (`tox -e type`) and pyright (`tox -e verifytypes`) check it against the installed package, and
tests/test_typing.py that no public attribute is missing. Each function has one object under the name of its class.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, assert_type

import pytest_ipc
from pytest_ipc import (
    AlternateStack,
    Attachment,
    Caught,
    Child,
    Descriptor,
    Detector,
    End,
    EventFd,
    Fifo,
    FileLock,
    Fork,
    Futex,
    Host,
    Ipc,
    IpcNamespace,
    IpcUse,
    Leak,
    Lease,
    Limit,
    Listener,
    Mapping,
    MemoryMap,
    Message,
    MessageQueue,
    Observed,
    OwnedFile,
    Pipe,
    PosixQueue,
    PosixSemaphore,
    Program,
    ReservedKey,
    ReservedName,
    ReservedPath,
    Resource,
    Scope,
    Segment,
    SemaphoreSet,
    SharedMemory,
    SignalFd,
    Signals,
    SignalTimer,
    Socket,
    Sockets,
    SysvObject,
    SysvType,
    TimerFd,
    TwoHosts,
    scope,
)
from pytest_ipc.kernel import MS_SYNC, SHM_LOCK, RecordLock, Sembuf, SigInfo, Ucred


def double(number: int) -> int:
    return 2 * number


def use_a_scope() -> None:
    with scope() as ipc:
        assert_type(ipc, Ipc)
    segment: Segment = pytest_ipc.Segment.create(4096)
    segment.close()


def use_ipc(ipc: Ipc) -> None:
    assert_type(ipc.reserve_name(), str)
    assert_type(ipc.reserve_key(), int)
    assert_type(ipc.reserve_path("socket"), str)
    assert_type(ipc.sysv_shm(8192, key=1, flags=0, mode=0o600), Segment)
    assert_type(ipc.sysv_sem(2, values=[0, 1], key=1, flags=0, mode=0o600), SemaphoreSet)
    assert_type(ipc.sysv_msg(key=1, flags=0, mode=0o600), MessageQueue)
    assert_type(ipc.posix_shm(4096, name="/name", flags=os.O_RDWR, mode=0o600, allocated=False), SharedMemory)
    assert_type(ipc.posix_sem(1, name="/name", shared=False, flags=os.O_CREAT, mode=0o600), PosixSemaphore)
    assert_type(ipc.posix_mq(name="/name", maxmsg=1, msgsize=1, flags=os.O_RDWR, mode=0o600), PosixQueue)
    assert_type(ipc.mapped_file(4096, shared=False, path=Path("file"), mode=0o600), Mapping)
    assert_type(ipc.pipe(flags=os.O_NONBLOCK, capacity=4096), Pipe)
    assert_type(ipc.fifo(mode=0o600, path="fifo"), Fifo)
    assert_type(ipc.file_lock("file", kind="ofd", flags=os.O_RDONLY), FileLock)
    assert_type(ipc.eventfd(1, flags=0), EventFd)
    assert_type(ipc.timerfd(1, flags=0), TimerFd)
    assert_type(ipc.futex(1), Futex)
    assert_type(ipc.ipc_namespace(shmmni=1, sem=(1, 2, 3, 4), mqueue={"msg_max": 1}), IpcNamespace)
    assert_type(ipc.two_hosts(), TwoHosts)
    program = ipc.spawn(["true"], env={}, cwd="/", stdin=b"", pass_fds=[3], signals="inherit")
    assert_type(program, Program)
    assert_type(ipc.observe(1), Observed)
    assert_type(ipc.wait_until(lambda: 1, timeout=1), int)
    assert_type(ipc.signals, Signals)
    assert_type(ipc.sockets, Sockets)
    assert_type(ipc.fork, Fork)
    assert_type(ipc.fork(double, 2), Child[int])
    assert_type(ipc.fork(double, 2, may_fail=True), Child[int])
    assert_type(ipc.scope, Scope)


def make_mistakes(ipc: Ipc, child: Child[int]) -> None:
    ipc.sysv_shm(siez=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    ipc.sysv_shm(4096, 1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    ipc.sysv_sem(values=1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ipc.posix_mq(name=b"/name")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ipc.fifo("path")  # type: ignore[call-arg, arg-type] # pyright: ignore[reportCallIssue]
    ipc.sysv_shn()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ipc.fork(double, "2")  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]
    ipc.fork(double)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue]
    text: str = child.result()  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
    child.wait_blocked(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    print(text)


def use_sockets(sockets: Sockets) -> None:
    assert_type(sockets.socket(1, 2, 3), Socket)
    assert_type(sockets.pair(1), tuple[Socket, Socket])
    listener = sockets.listen_unix("path", abstract=True, type=1, mode=0o600, backlog=1)
    assert_type(listener, Listener)
    assert_type(sockets.listen_inet("127.0.0.1", 0, family=2, type=1, backlog=1), Listener)
    assert_type(sockets.connect(listener, type=1, timeout=1), Socket)
    assert_type(sockets.connect(("127.0.0.1", 80), timeout=None), Socket)
    assert_type(sockets.scope, Scope)


def use_fork(fork: Fork) -> None:
    assert_type(fork(double, 2), Child[int])
    assert_type(fork.keeping(1, 2)(double, 2), Child[int])
    assert_type(fork.entering(print)(double, number=2), Child[int])


def use_child(child: Child[int]) -> None:
    child.may_fail = True
    assert_type(child.failure(), BaseException | None)
    assert_type(child.all_descriptors(), list[int])
    assert_type(child.result(timeout=1), int)
    assert_type(child.wait(timeout=None), int | None)
    child.wait_blocked("read", timeout=1.5)
    assert_type(child.wait_state("T", timeout=1), str)
    child.signal(signal.SIGTERM)
    child.close()
    assert_type(child.alive, bool)
    assert_type(child.output, str)
    assert_type(child.pid, int)
    assert_type(child.pidfd, int | None)
    assert_type(child.name, str)
    assert_type(child.source, str | None)
    assert_type(child.status, int | None)
    assert_type(Child.start(double, (2,), {}, keep={3}, enter=print), Child[int])


async def use_child_in_coroutine(child: Child[int]) -> None:
    assert_type(await child.wait_async(timeout=1), int | None)
    assert_type(await child.result_async(), int)


async def use_program_in_coroutine(program: Program) -> None:
    assert_type(await program.wait_async(timeout=None), int | None)


def use_program(program: Program) -> None:
    assert_type(program.all_descriptors(), list[int])
    assert_type(Program.start(["true"], env=None, cwd=None, stdin=None, pass_fds=(), signals="default"), Program)
    assert_type((program.alive, program.pid, program.pidfd), tuple[bool, int, int | None])
    print(program.argv)
    assert_type(program.returncode, int | None)
    assert_type((program.stdout, program.stderr), tuple[str, str])
    assert_type((program.stdout_bytes, program.stderr_bytes), tuple[bytes, bytes])
    program.write(b"")
    program.close_stdin()
    assert_type(program.wait(timeout=1), int | None)
    program.wait_blocked("read", timeout=1)
    assert_type(program.wait_state("T", timeout=1), str)
    print(program.wait_for_output("ready", timeout=1, stream="stderr").group())
    assert_type(program.wait_for(lambda: 1, timeout=1), int)
    program.signal(signal.SIGTERM)
    assert_type(program.terminate(grace=1), int | None)
    assert_type(program.children(), list[Observed])
    assert_type(program.open_files(), dict[int, str])
    assert_type(program.maps(), list[MemoryMap])
    print(program.limits())
    assert_type(program.ipc_objects(), IpcUse)
    program.close()


def use_observed(observed: Observed) -> None:
    assert_type((observed.alive, observed.command, observed.pid), tuple[bool, str, int])
    observed.wait(timeout=1)
    observed.wait_blocked("read", timeout=1)
    assert_type(observed.wait_state("T", timeout=1), str)
    observed.signal(signal.SIGTERM)
    assert_type(observed.children(), list[Observed])
    assert_type(observed.open_files(), dict[int, str])
    assert_type(observed.maps(), list[MemoryMap])
    print(observed.limits())
    assert_type(observed.ipc_objects(), IpcUse)


def use_memory_map(memory_map: MemoryMap) -> None:
    assert_type((memory_map.start, memory_map.end, memory_map.offset, memory_map.inode), tuple[int, int, int, int])
    assert_type((memory_map.perms, memory_map.path, memory_map.shared), tuple[str, str, bool])


def use_ipc_use(ipc_use: IpcUse) -> None:
    assert_type(ipc_use.segments, frozenset[int])
    assert_type(ipc_use.sets, frozenset[int])
    assert_type(ipc_use.queues, frozenset[int])


def use_scope(scope: Scope, pipe: Pipe) -> None:
    scope.report(OSError(1, "late"))
    assert_type(Scope.all_open(), list[Scope])
    assert_type(scope.own(pipe), Pipe)
    scope.forget(pipe)
    print(scope.owned())
    with scope as same:
        print(same)
    scope.close()


def use_reserved_name(reserved_name: ReservedName) -> None:
    assert_type(reserved_name.name, str)


def use_reserved_key(reserved_key: ReservedKey) -> None:
    assert_type(reserved_key.key, int)


def use_reserved_path(reserved_path: ReservedPath) -> None:
    assert_type(reserved_path.path, str)
    assert_type(reserved_path.all_descriptors(), list[int])


class Things(Detector):
    """A detector of a project."""

    kind = "things"

    def snapshot(self) -> dict[str, int]:
        """Return the things."""
        return {"thing": 1}

    def describe(self, key: object, before: object, after: object) -> str:
        """Return the name."""
        return f"thing {key}: {before} {after}"


def use_detector(detector: Detector) -> None:
    assert_type(detector.kind, str)
    assert_type(detector.settles, bool)
    assert_type(detector.place, str)
    assert_type(detector.outlasts, bool)
    before = after = detector.snapshot()
    for key in detector.differences(before, after):
        assert_type(detector.describe(key, before, after), str)
        assert_type(detector.remedy(key, before, after), str)
        assert_type(detector.restore(key, before, after), bool)
        assert_type(detector.is_held(key, after), bool)
        print(detector.is_owned, detector.proof)  # whose arguments the plugin makes


def use_leak(leak: Leak) -> None:
    assert_type((leak.kind, leak.what, leak.proof, leak.remedy), tuple[str, str, str, str])
    assert_type((leak.is_proved, leak.is_held), tuple[bool, bool])
    leak.key  # noqa: B018 - any hashable


def use_limit(limit: Limit) -> None:
    assert_type(limit.name, str)
    assert_type(limit.page, str)
    assert_type(limit.unit, str)
    assert_type(limit.source, str)
    assert_type(limit.value, float | None)
    assert_type(limit.reason, str)


def use_resource(resource: Resource) -> None:
    assert_type(resource.all_descriptors(), list[int])
    with resource as same:
        assert_type(same, Resource)
    assert_type(resource.closed, bool)
    assert_type(resource.descriptors(), list[int])
    resource.close()


def use_descriptor(descriptor: Descriptor) -> None:
    assert_type(descriptor.fd, int)
    assert_type(descriptor.fileno(), int)
    assert_type(descriptor.descriptors(), list[int])
    descriptor.close()


def use_end(end: End) -> None:
    assert_type(end.read(1, timeout=1), bytes)
    assert_type(end.write(b"", timeout=1), int)


def use_pipe(pipe: Pipe) -> None:
    assert_type(Pipe.create(flags=0, capacity=1), Pipe)
    assert_type(pipe.read(1, timeout=None), bytes)
    assert_type(pipe.write(b"", timeout=None), int)
    assert_type(pipe.read_fd, int)
    assert_type(pipe.write_fd, int)
    assert_type(pipe.reader, End)
    assert_type(pipe.writer, End)
    assert_type(pipe.capacity, int)
    assert_type(pipe.descriptors(), list[int])
    pipe.close_read()
    pipe.close_write()


def use_fifo(fifo: Fifo) -> None:
    assert_type(fifo.all_descriptors(), list[int])
    assert_type(Fifo.create(mode=0o600, path="path"), Fifo)
    assert_type(fifo.path, Path)
    assert_type(fifo.open_reader(timeout=1), End)
    assert_type(fifo.open_writer(timeout=None), End)
    assert_type(fifo.descriptors(), list[int])


def use_owned_file(owned_file: OwnedFile) -> None:
    assert_type(owned_file.descriptors(), list[int])
    assert_type(OwnedFile.create("fifo", "FIFO", os.mkfifo, "path"), OwnedFile)
    assert_type(owned_file.path, str)
    assert_type(owned_file.anchor, int | None)
    owned_file.unlink()
    owned_file.close()


def use_event_fd(event_fd: EventFd) -> None:
    assert_type(EventFd.create(1, flags=0), EventFd)
    assert_type(event_fd.read(timeout=1), int)
    event_fd.write(1, timeout=1)


def use_timer_fd(timer_fd: TimerFd) -> None:
    assert_type(TimerFd.create(1, flags=0), TimerFd)
    timer_fd.set(1, 0.5, absolute=False)
    assert_type(timer_fd.left, float)
    assert_type(timer_fd.read(timeout=1), int)


def use_futex(futex: Futex) -> None:
    assert_type(Futex.create(1), Futex)
    assert_type(futex.address, int)
    assert_type(futex.value, int)
    futex.value = 2
    assert_type(futex.wait(2, timeout=1), bool)
    assert_type(futex.wake(1), int)
    assert_type(futex.requeue(futex, wake=1, most=1), int)


def use_segment(segment: Segment) -> None:
    assert_type(Segment.create(4096, key=1, flags=0, mode=0o600), Segment)
    assert_type(segment.attach(None, 0), Attachment)
    assert_type(segment.attachments, list[Attachment])
    assert_type(segment.size, int)
    assert_type(segment.stat().segsz, int)
    assert_type(segment.control(SHM_LOCK), int)


def use_attachment(attachment: Attachment) -> None:
    assert_type(attachment.address, int)
    attachment.buf[0] = 1
    assert_type(attachment.mapped, int)
    assert_type(attachment.segment, Segment)
    attachment.detach()


def use_sysv_object(sysv_object: SysvObject) -> None:
    assert_type(sysv_object.id, int)
    assert_type(sysv_object.key, int)
    assert_type(sysv_object.exists(), bool)
    assert_type(sysv_object.remove(), bool)
    sysv_object.set_status(uid=0, gid=0, mode=0o600)


def use_sysv_type(sysv_type: SysvType) -> None:
    assert_type(sysv_type.kind, str)
    assert_type(sysv_type.option, str)
    assert_type(sysv_type.has_cpid, bool)
    print(sysv_type.stat, sysv_type.set_status, sysv_type.rmid)


def use_semaphore_set(semaphore_set: SemaphoreSet) -> None:
    assert_type(SemaphoreSet.create(1, values=[1], key=1, flags=0, mode=0o600), SemaphoreSet)
    assert_type(semaphore_set.count, int)
    semaphore_set.op((0, 1), (0, -1, 0), Sembuf(0, 0), timeout=1)
    semaphore_set.acquire(0, undo=True, timeout=1)
    semaphore_set.release(0, undo=True)
    with semaphore_set.held(0, timeout=1):
        semaphore_set.wait_for_zero(0, timeout=1)
    assert_type(semaphore_set.values, list[int])
    semaphore_set.values = [1]
    assert_type(semaphore_set.value(0), int)
    semaphore_set.set_value(1, 0)
    assert_type(semaphore_set.waiters(0), int)
    assert_type(semaphore_set.zero_waiters(0), int)
    assert_type(semaphore_set.last_pid(0), int)
    assert_type(semaphore_set.stat().nsems, int)


def use_message_queue(message_queue: MessageQueue) -> None:
    assert_type(MessageQueue.create(key=1, flags=0, mode=0o600), MessageQueue)
    message_queue.send(b"text", 1, 0, timeout=1)
    message = message_queue.receive(-2, 10, 0, timeout=1)
    assert_type((message.type, message.text), tuple[int, bytes])
    message_queue.set_status(uid=0, gid=0, mode=0o600, qbytes=1)
    assert_type(message_queue.stat().qnum, int)


def use_shared_memory(shared_memory: SharedMemory) -> None:
    assert_type(SharedMemory.create(1, name="/name", flags=0, mode=0o600, allocated=True), SharedMemory)
    assert_type(shared_memory.name, str)
    assert_type((shared_memory.fd, shared_memory.fileno()), tuple[int, int])
    assert_type(shared_memory.size, int)
    assert_type(shared_memory.stat(), os.stat_result)
    shared_memory.resize(8192, allocated=False)
    assert_type(shared_memory.map(1, prot=1, flags=1, offset=0), Mapping)
    assert_type(shared_memory.mappings, list[Mapping])
    assert_type(shared_memory.exists(), bool)
    assert_type(shared_memory.unlink(), bool)
    assert_type(shared_memory.descriptors(), list[int])
    shared_memory.close_fd()


def use_mapping(mapping: Mapping) -> None:
    assert_type(mapping.all_descriptors(), list[int])
    assert_type(Mapping.create(1, shared=True, path="path", mode=0o600), Mapping)
    assert_type(Mapping.of(None, 1, prot=1, flags=1, offset=0, address=None, name="name"), Mapping)
    assert_type((mapping.address, mapping.size, mapping.mapped), tuple[int, int, int])
    mapping.buf[0] = 1
    assert_type(mapping.path, Path | None)
    assert_type(mapping.fd, int | None)
    assert_type(mapping.descriptors(), list[int])
    mapping.msync(MS_SYNC, 0, 4096)
    mapping.protect(1)
    mapping.advise(1, 0, 4096)
    mapping.unmap()


def use_posix_semaphore(posix_semaphore: PosixSemaphore) -> None:
    assert_type(PosixSemaphore.create(1, name=None, shared=True, flags=0, mode=0o600), PosixSemaphore)
    assert_type(posix_semaphore.name, str | None)
    assert_type(posix_semaphore.address, int)
    assert_type(posix_semaphore.value, int)
    posix_semaphore.post()
    posix_semaphore.wait(timeout=1)
    assert_type(posix_semaphore.try_wait(), bool)
    assert_type(posix_semaphore.unlink(), bool)


def use_posix_queue(posix_queue: PosixQueue) -> None:
    assert_type(PosixQueue.create(name="/name", maxmsg=1, msgsize=1, flags=0, mode=0o600), PosixQueue)
    assert_type((posix_queue.maxmsg, posix_queue.msgsize), tuple[int, int])
    assert_type(posix_queue.name, str)
    posix_queue.send(b"data", 1, timeout=1)
    assert_type(posix_queue.receive(timeout=1), tuple[bytes, int])
    assert_type(posix_queue.attributes.curmsgs, int)
    posix_queue.set_blocking(False)
    posix_queue.notify(signal.SIGUSR1, 1)
    posix_queue.cancel_notify()
    assert_type(posix_queue.unlink(), bool)


def use_file_lock(file_lock: FileLock) -> None:
    assert_type(file_lock.all_descriptors(), list[int])
    assert_type(FileLock.create("path", kind="posix", flags=0), FileLock)
    assert_type(file_lock.path, Path)
    assert_type(file_lock.kind, str)
    file_lock.acquire(True, 0, 1, timeout=1)
    assert_type(file_lock.try_acquire(shared=True, start=0, length=1), bool)
    file_lock.release(0, 1)
    with file_lock.held(True, 0, 1, timeout=1):
        assert_type(file_lock.test(False, 0, 1), RecordLock | None)
    assert_type(file_lock.take_lease(shared=False, signo=0), Lease)
    assert_type(file_lock.picture(), str)


def use_lease(lease: Lease) -> None:
    assert_type(Lease.take(3, "name", True, 0), Lease)
    assert_type(lease.type, int)
    assert_type(lease.wait_break(timeout=1), int)
    lease.downgrade()
    lease.release()


def use_signals(signals: Signals) -> None:
    assert_type(Signals.create(), Signals)
    caught = signals.catch(signal.SIGUSR1, print, flags=0, mask=[1], displace=True)
    assert_type(caught, Caught)
    signals.ignore(1, displace=False)
    signals.default(1, displace=False)
    assert_type(signals.block(1, 2, displace=False), frozenset[int])
    assert_type(signals.unblock(1, 2), frozenset[int])
    assert_type(signals.pending(), frozenset[int])
    signals.queue(1, 2, 3)
    assert_type(signals.wait(1, 2, timeout=1), SigInfo)
    signals.itimer(1, 0.5, which=0, displace=True)
    assert_type(signals.timer(1, clock=1, value=1, thread=1), SignalTimer)
    assert_type(signals.alternate_stack(65536, flags=0), AlternateStack)
    assert_type(signals.fd(1, 2, flags=0, displace=False), SignalFd)
    assert_type(signals.descriptors(), list[int])


def use_caught(caught: Caught) -> None:
    assert_type(caught.count, int)
    assert_type(caught.signo, int)
    assert_type(caught.received, list[int])
    caught.wait(2, timeout=1)


def use_signal_fd(signal_fd: SignalFd) -> None:
    assert_type(SignalFd.create([1], flags=0), SignalFd)
    print(signal_fd.read(timeout=1).signo)


def use_signal_timer(signal_timer: SignalTimer) -> None:
    assert_type(SignalTimer.create(1, clock=1, value=1, thread=None), SignalTimer)
    assert_type(signal_timer.id, int)
    signal_timer.set(1, 0.5, absolute=True)
    assert_type(signal_timer.left, float)
    assert_type(signal_timer.overrun, int)


def use_alternate_stack(alternate_stack: AlternateStack) -> None:
    assert_type(AlternateStack.create(65536, flags=0), AlternateStack)
    assert_type(alternate_stack.memory, bytes)
    assert_type((alternate_stack.address, alternate_stack.size), tuple[int, int])


def use_socket(socket: Socket) -> None:
    assert_type(Socket.create(1, 1, 0), Socket)
    assert_type(Socket.pair(1), tuple[Socket, Socket])
    assert_type(Socket.connect("path", type=1, timeout=1), Socket)
    assert_type(socket.read(1, timeout=1), bytes)
    assert_type(socket.write(b"", timeout=pytest_ipc.DEFAULT), int)
    socket.socket.setblocking(False)
    print(socket.address)
    assert_type(socket.send(b"", to=socket, fds=[1, socket], credentials=None, flags=0, timeout=1), int)
    assert_type(socket.receive(1, flags=0, timeout=1), bytes)
    assert_type(socket.receive_message(1, fds=1, flags=0, timeout=1), Message)
    socket.pass_credentials(True)
    socket.pass_pidfd(False)
    assert_type(socket.peer_credentials(), Ucred)
    assert_type(socket.peer_groups(), list[int])
    assert_type(socket.peer_pidfd(), End)
    socket.shutdown(1)


def use_message(message: Message) -> None:
    assert_type(message.data, bytes)
    assert_type(message.flags, int)
    assert_type(message.fds, list[End])
    assert_type(message.credentials, Ucred | None)
    assert_type(message.pidfd, End | None)
    print(message.address)


def use_listener(listener: Listener) -> None:
    assert_type(listener.all_descriptors(), list[int])
    assert_type(Listener.unix("path", abstract=False, type=1, mode=0o600, backlog=1), Listener)
    assert_type(Listener.inet("127.0.0.1", 0, family=2, type=1, backlog=1), Listener)
    assert_type(listener.path, Path | None)
    assert_type(listener.accept(timeout=1), Socket)


def use_ipc_namespace(ipc_namespace: IpcNamespace) -> None:
    assert_type(IpcNamespace.create(shmmni=1), IpcNamespace)
    assert_type(ipc_namespace.fork(double, 2), Child[int])
    assert_type(ipc_namespace.fork.keeping(3)(double, 2), Child[int])
    assert_type(ipc_namespace.own_user, bool)
    assert_type(ipc_namespace.descriptors(), list[int])


def use_two_hosts(two_hosts: TwoHosts) -> None:
    assert_type(TwoHosts.create(), TwoHosts)
    assert_type((two_hosts.left, two_hosts.right), tuple[Host, Host])
    assert_type(two_hosts.own_user, bool)
    assert_type(two_hosts.descriptors(), list[int])


def use_host(host: Host) -> None:
    assert_type(host.fork(double, 2), Child[int])
    assert_type(host.address, str)
    assert_type(host.address6, str | None)
    host.close()


def run_what_needs_no_object() -> Any:
    return pytest_ipc.limits(), pytest_ipc.unused_key(), pytest_ipc.unused_name(), pytest_ipc.trial(os.getpid)
