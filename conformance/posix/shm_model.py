"""A model of POSIX shared memory: two processes open, resize, write, map, store and unlink (shm_open(3))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from errno import EACCES, EBADF, EEXIST, EINVAL, ENOENT
from functools import partial
from mmap import PAGESIZE
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc.kernel import MAP_SHARED, PROT_READ, PROT_WRITE, close, ftruncate, mmap, munmap, shm_open, shm_unlink

from ..memory import peek, poke
from ..model import Model, fails
from ..on_record import ReservedName

NAMES = ("A", "B")
SIZES = (0, 1, 100, PAGESIZE, PAGESIZE + 1, 2 * PAGESIZE)
PLACES = (0, 99, PAGESIZE - 1, PAGESIZE)
MAPPED = 2 * PAGESIZE
FLAGS = {
    "O_RDONLY": os.O_RDONLY,
    "O_RDWR": os.O_RDWR,
    "O_RDWR | O_TRUNC": os.O_RDWR | os.O_TRUNC,
    "O_RDWR | O_CREAT": os.O_RDWR | os.O_CREAT,
    "O_RDWR | O_CREAT | O_EXCL": os.O_RDWR | os.O_CREAT | os.O_EXCL,
}


@dataclass
class Object:
    """The state of an object in the model: its bytes."""

    bytes: bytearray = field(default_factory=bytearray)

    def resize(self, size: int) -> None:
        """Truncate the object, or extend it with zeros."""
        del self.bytes[size:]
        self.bytes.extend(bytes(size - len(self.bytes)))


@dataclass
class Handle:
    """An open descriptor, or the address of a mapping, in one of the processes."""

    worker: Any
    name: str
    number: int
    shared: Object
    writable: bool


class Shared(Model):
    """Objects by name, and the descriptors and mappings of each process, which keep an unlinked object."""

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        self.names = {name: ReservedName.shm(self.ipc.scope).name for name in NAMES}
        self.found: dict[str, Object] = {}
        self.open: list[Handle] = []
        self.mapped: list[Handle] = []
        self.made = 0

    @precondition(lambda self: len(self.open) < 6)
    @rule(data=st.data(), name=st.sampled_from(NAMES), flags=st.sampled_from(sorted(FLAGS)))
    def open_one(self, data: Any, name: str, flags: str) -> None:
        """Open or create an object."""
        worker, bits = self.one_of(data, self.workers), FLAGS[flags]
        numbers: list[int] = []

        def model() -> None:
            shared = self.found.get(name)
            if shared is None:
                if not bits & os.O_CREAT:
                    fails(ENOENT)
                shared = self.found[name] = Object()
            elif bits & os.O_EXCL:
                fails(EEXIST)
            if bits & os.O_TRUNC:
                shared.resize(0)

        def kernel() -> None:
            numbers.append(worker.do(shm_open, self.names[name], bits))

        word = f"f{self.made + 1}"
        self.same(f"{worker}: {word} = shm_open({name}, {flags})", kernel, model)
        if numbers:
            self.made += 1
            self.open.append(Handle(worker, word, numbers[0], self.found[name], bool(bits & os.O_RDWR)))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_one(self, data: Any) -> None:
        """Close a descriptor; mappings stay."""
        handle = self.one_of(data, self.open)
        self.same(f"{handle.worker}: close({handle.name})", handle.worker.call(close, handle.number), lambda: None)
        self.open.remove(handle)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def unlink(self, data: Any, name: str) -> None:
        """Unlink a name."""
        worker = self.one_of(data, self.workers)

        def model() -> None:
            if self.found.pop(name, None) is None:
                fails(ENOENT)

        self.same(f"{worker}: shm_unlink({name})", worker.call(shm_unlink, self.names[name]), model)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), size=st.sampled_from(SIZES))
    def resize(self, data: Any, size: int) -> None:
        """Change the size of an object."""
        handle = self.one_of(data, self.open)

        def model() -> None:
            if not handle.writable:
                fails(EINVAL)
            handle.shared.resize(size)

        self.same(f"ftruncate({handle.name}, {size})", handle.worker.call(ftruncate, handle.number, size), model)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), place=st.sampled_from(PLACES), value=st.integers(1, 255))
    def write(self, data: Any, place: int, value: int) -> None:
        """Write a byte, possibly beyond the end."""
        handle = self.one_of(data, self.open)

        def model() -> int:
            if not handle.writable:
                fails(EBADF)
            if place >= len(handle.shared.bytes):
                handle.shared.resize(place + 1)
            handle.shared.bytes[place] = value
            return 1

        call = handle.worker.call(os.pwrite, handle.number, bytes([value]), place)
        self.same(f"pwrite({handle.name}, {bytes([value])!r}, {place})", call, model)

    @precondition(lambda self: self.open and len(self.mapped) < 6)
    @rule(data=st.data(), writable=st.booleans())
    def map_one(self, data: Any, writable: bool) -> None:
        """Map two pages, whatever the size of the object."""
        handle = self.one_of(data, self.open)
        addresses: list[int] = []
        prot = PROT_READ | (PROT_WRITE if writable else 0)

        def kernel() -> None:
            addresses.append(handle.worker.do(mmap, None, MAPPED, prot, MAP_SHARED, handle.number))

        def model() -> None:
            if writable and not handle.writable:
                fails(EACCES)

        word = f"m{self.made + 1}"
        words = "PROT_READ | PROT_WRITE" if writable else "PROT_READ"
        self.same(f"{handle.worker}: {word} = mmap({words}, MAP_SHARED, {handle.name})", kernel, model)
        if addresses:
            self.made += 1
            self.mapped.append(Handle(handle.worker, word, addresses[0], handle.shared, writable))

    @precondition(lambda self: self.mapped)
    @rule(data=st.data(), value=st.integers(1, 255))
    def store(self, data: Any, value: int) -> None:
        """Store a byte within the object."""
        mapping = self.one_of(data, self.mapped)
        places = [place for place in PLACES if place < len(mapping.shared.bytes)]
        if mapping.writable and places:
            place = self.one_of(data, places)
            mapping.worker.do(poke, mapping.number + place, value)
            mapping.shared.bytes[place] = value
            self.history.append(f"{mapping.name}[{place}] = {value}")

    @precondition(lambda self: self.mapped)
    @rule(data=st.data())
    def unmap(self, data: Any) -> None:
        """Unmap a mapping."""
        mapping = self.one_of(data, self.mapped)
        call = mapping.worker.call(munmap, mapping.number, MAPPED)
        self.same(f"{mapping.worker}: munmap({mapping.name})", call, lambda: None)
        self.mapped.remove(mapping)

    @invariant()
    def everybody_reads_the_same(self) -> None:
        """Read the whole content through every descriptor, and the existing bytes through every mapping."""
        for handle in self.open:
            whole = partial(bytes, handle.shared.bytes)
            call = handle.worker.call(os.pread, handle.number, 3 * PAGESIZE, 0)
            self.sees(f"pread({handle.name})", call, whole)
        for mapping in self.mapped:
            size = len(mapping.shared.bytes)
            if size:
                call = mapping.worker.call(peek, mapping.number, size)
                self.sees(f"{mapping.name}[:{size}]", call, partial(bytes, mapping.shared.bytes))

    def teardown(self) -> None:
        """Unmap and close everything; the worker processes live longer than the model."""
        for mapping in self.mapped:
            mapping.worker.do(munmap, mapping.number, MAPPED)
        for handle in self.open:
            handle.worker.do(close, handle.number)
        super().teardown()
