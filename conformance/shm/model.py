"""Model of System V shared memory: two processes create, attach, write, detach and remove segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENOENT
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc import unused_key
from pytest_ipc.kernel import IPC_CREAT, IPC_EXCL, SHM_DEST, shmat, shmctl_rmid, shmctl_stat, shmdt, shmget

from ..memory import peek, poke
from ..model import Model, fails, outcome
from ..on_record import OnRecord

NAMES = ("K1", "K2")
SIZES = (1, 100, 4096, 5000)


@dataclass
class Segment:
    """A segment in the model."""

    name: str
    size: int
    bytes: dict[int, int] = field(default_factory=dict)
    attached: int = 0
    removed: bool = False


class SharedMemory(Model):
    """Segments by key and, once found, by the index of their id; attachments by process."""

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        self.keys = {name: unused_key() for name in NAMES}
        self.found: dict[str, Segment] = {}  # by key, those that can be found
        self.known: list[tuple[int, Segment]] = []  # every id that was ever given out
        self.attachments: list[tuple[Any, int, Segment]] = []

    @rule(
        name=st.sampled_from(NAMES),
        size=st.sampled_from(SIZES),
        flags=st.sampled_from((0, IPC_CREAT, IPC_CREAT | IPC_EXCL)),
    )
    def get(self, name: str, size: int, flags: int) -> None:
        """Find or create a segment."""
        created: list[Segment] = []

        def model() -> int:
            segment = self.found.get(name)
            if segment is None:
                if not flags & IPC_CREAT:
                    fails(ENOENT)
                segment = Segment(name, size)
                self.found[name] = segment
                created.append(segment)
                return len(self.known)
            if flags & IPC_EXCL:
                fails(EEXIST)
            if size > segment.size:
                fails(EINVAL)
            return next(number for number, (_, known) in enumerate(self.known) if known is segment)

        def kernel() -> int:
            get = OnRecord(self.ipc.scope).shmget if flags & IPC_CREAT else shmget
            id = get(self.keys[name], size, flags | 0o600)
            ids = [known for known, _ in self.known]
            new.append(id)
            return ids.index(id) if id in ids else len(ids)

        new: list[int] = []
        words = {0: "0", IPC_CREAT: "IPC_CREAT", IPC_CREAT | IPC_EXCL: "IPC_CREAT | IPC_EXCL"}
        self.same(f"shmget({name}, {size}, {words[flags]})", kernel, model)
        if created:
            self.known.append((new[0], created[0]))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def attach(self, data: Any) -> None:
        """Attach a segment in one of the processes."""
        worker, (id, segment) = self.one_of(data, self.workers), self.one_of(data, self.known)
        place: list[int] = []

        def model() -> None:
            if segment.removed and not segment.attached:
                fails(EINVAL)
            segment.attached += 1

        self.same(f"{worker}: shmat({self.word(segment)})", lambda: place.append(worker.do(shmat, id)), model)
        if place:
            self.attachments.append((worker, place[0], segment))

    @precondition(lambda self: self.attachments)
    @rule(data=st.data(), value=st.integers(1, 255))
    def write(self, data: Any, value: int) -> None:
        """Write a byte at one end of an attached segment."""
        worker, address, segment = self.one_of(data, self.attachments)
        offset = self.one_of(data, (0, segment.size - 1))
        segment.bytes[offset] = value
        worker.do(poke, address + offset, value)
        self.history.append(f"{worker}: {self.word(segment)}[{offset}] = {value}")

    @precondition(lambda self: self.attachments)
    @rule(data=st.data())
    def detach(self, data: Any) -> None:
        """Detach a segment; the last detach destroys a removed one."""
        attachment = self.one_of(data, self.attachments)
        worker, address, segment = attachment

        def model() -> None:
            segment.attached -= 1

        self.same(f"{worker}: shmdt({self.word(segment)})", worker.call(shmdt, address), model)
        self.attachments.remove(attachment)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def remove(self, data: Any) -> None:
        """Remove a segment: at once, or with the last detach."""
        id, segment = self.one_of(data, self.known)

        def model() -> None:
            if segment.removed and not segment.attached:
                fails(EINVAL)
            segment.removed = True
            if self.found.get(segment.name) is segment:
                del self.found[segment.name]

        self.same(f"shmctl({self.word(segment)}, IPC_RMID)", lambda: shmctl_rmid(id), model)

    @invariant()
    def segments_match_model(self) -> None:
        """Compare size, attachments and SHM_DEST of every segment found so far."""
        for id, segment in self.known:

            def kernel(id: int = id) -> tuple[int, int, bool]:
                ds = shmctl_stat(id)
                return ds.segsz, ds.nattch, bool(ds.perm.mode & SHM_DEST)

            def model(segment: Segment = segment) -> tuple[int, int, bool]:
                if segment.removed and not segment.attached:
                    fails(EINVAL)
                return segment.size, segment.attached, segment.removed

            self.sees(f"shmctl({self.word(segment)}, IPC_STAT)", kernel, model)

    @invariant()
    def contents_match_model(self) -> None:
        """Compare the first and last byte of each segment, read through every attachment."""
        for worker, address, segment in self.attachments:
            for offset in {0, segment.size - 1}:
                self.sees(
                    f"{worker}: {self.word(segment)}[{offset}]",
                    worker.call(peek, address + offset, 1),
                    partial(bytes, [segment.bytes.get(offset, 0)]),
                )

    def word(self, segment: Segment) -> str:
        """Return the segment's name in the history: its key's name, primed once for each earlier segment of the key."""
        same = [known for _, known in self.known if known.name == segment.name]
        return segment.name + "'" * next((n for n, known in enumerate(same) if known is segment), len(same))

    def teardown(self) -> None:
        """Detach and remove everything: the worker processes continue with the next history."""
        for worker, address, _ in self.attachments:
            worker.do(shmdt, address)
        for id, _ in self.known:
            outcome(partial(shmctl_rmid, id))
        super().teardown()
