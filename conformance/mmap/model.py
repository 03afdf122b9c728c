"""A model of mapped files: two processes map, store, write, truncate and unmap one file (mmap(2))."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from mmap import PAGESIZE
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from pytest_ipc.kernel import MAP_PRIVATE, MAP_SHARED, MS_SYNC, PROT_READ, PROT_WRITE, ftruncate, mmap, msync, munmap

from ..memory import peek, poke
from ..model import Model

PAGES = 3
# Offsets of the stores: both ends of each page.
PLACES = [page * PAGESIZE + end for page in range(PAGES) for end in (0, PAGESIZE - 1)]
SIZES = [0, 1, PAGESIZE, PAGESIZE + 100, PAGES * PAGESIZE]


def map_file(path: str, flags: int) -> int:
    """Map, in a worker process, the maximum number of pages of the file, and close it."""
    fd = os.open(path, os.O_RDWR)
    try:
        return mmap(None, PAGES * PAGESIZE, PROT_READ | PROT_WRITE, flags, fd, 0)
    finally:
        os.close(fd)


@dataclass
class Mapping:
    """A mapping in one of the processes; `own` are the stores of a private mapping, by page."""

    worker: Any
    address: int
    name: str
    private: bool
    own: dict[int, dict[int, int]] = field(default_factory=dict)


class Files(Model):
    """One file, modelled by its bytes that are not 0."""

    def __init__(self, *workers: Any) -> None:
        super().__init__(*workers)
        mapped = self.ipc.mapped_file(PAGES * PAGESIZE)
        self.path = str(mapped.path)
        self.fd = os.open(self.path, os.O_RDWR)
        self.size = PAGES * PAGESIZE
        self.bytes: dict[int, int] = {}
        self.mappings: list[Mapping] = []
        self.made = 0

    @rule(worker=st.integers(0, 1), private=st.booleans())
    def map(self, worker: int, private: bool) -> None:
        """Map the maximum size of the file, beyond its end too."""
        who, place = self.workers[worker], list[int]()
        self.made += 1
        name = f"{'P' if private else 'S'}{self.made}"
        flags = MAP_PRIVATE if private else MAP_SHARED
        self.same(
            f"{who}: {name} = mmap({'MAP_PRIVATE' if private else 'MAP_SHARED'})",
            lambda: place.append(who.do(map_file, self.path, flags)),
            lambda: None,
        )
        self.mappings.append(Mapping(who, place[0], name, private))

    def valid_places(self) -> list[int]:
        """Return the offsets before the end of the file, which can be accessed."""
        return [place for place in PLACES if place < self.size]

    @precondition(lambda self: self.mappings and self.size)
    @rule(data=st.data(), value=st.integers(1, 255))
    def store(self, data: Any, value: int) -> None:
        """Store a byte through a mapping."""
        mapping = self.one_of(data, self.mappings)
        place = self.one_of(data, self.valid_places())
        page = place // PAGESIZE
        if mapping.private:
            # mmap(2) does not specify whether later writes to the file are visible in the rest of this page.
            mapping.own.setdefault(page, {})[place] = value
        else:
            self.bytes[place] = value
        mapping.worker.do(poke, mapping.address + place, value)
        self.history.append(f"{mapping.worker}: {mapping.name}[{place}] = {value}")

    @precondition(lambda self: self.size)
    @rule(data=st.data(), value=st.integers(1, 255))
    def write(self, data: Any, value: int) -> None:
        """Write a byte with pwrite(2)."""
        place = self.one_of(data, self.valid_places())
        self.same(
            f"pwrite({value} at {place})",
            lambda: os.pwrite(self.fd, bytes([value]), place),
            lambda: self.bytes.update({place: value}) or 1,
        )

    @rule(size=st.sampled_from(SIZES))
    def truncate(self, size: int) -> None:
        """Change the size of the file; it loses the truncated bytes and is extended with zeros."""

        def model() -> None:
            self.size = size
            self.bytes = {place: byte for place, byte in self.bytes.items() if place < size}
            for mapping in self.mappings:  # private copies beyond the end are unspecified
                mapping.own = {
                    page: {place: byte for place, byte in own.items() if place < size}
                    for page, own in mapping.own.items()
                    if page * PAGESIZE < size
                }

        self.same(f"ftruncate({size})", partial(ftruncate, self.fd, size), model)

    @precondition(lambda self: self.mappings)
    @rule(data=st.data())
    def unmap(self, data: Any) -> None:
        """Unmap a mapping."""
        mapping = self.one_of(data, self.mappings)
        call = mapping.worker.call(munmap, mapping.address, PAGES * PAGESIZE)
        self.same(f"{mapping.worker}: munmap({mapping.name})", call, lambda: None)
        self.mappings.remove(mapping)

    @precondition(lambda self: self.mappings)
    @rule(data=st.data())
    def sync(self, data: Any) -> None:
        """Write a mapping back with msync(2), without a visible change."""
        mapping = self.one_of(data, self.mappings)
        call = mapping.worker.call(msync, mapping.address, PAGES * PAGESIZE, MS_SYNC)
        self.same(f"{mapping.worker}: msync({mapping.name})", call, lambda: None)

    @invariant()
    def everybody_sees_the_file(self) -> None:
        """Compare pread(2) and every shared mapping with the model, and each private mapping at its own stores."""
        for place in self.valid_places():
            byte = self.bytes.get(place, 0)
            self.sees(f"pread(at {place})", partial(os.pread, self.fd, 1, place), partial(bytes, [byte]))
        for mapping in self.mappings:
            for place in self.valid_places():
                page = mapping.own.get(place // PAGESIZE)
                if mapping.private and (page is None or place not in page):
                    continue
                expected = page[place] if page is not None else self.bytes.get(place, 0)
                self.sees(
                    f"{mapping.worker}: {mapping.name}[{place}]",
                    mapping.worker.call(peek, mapping.address + place, 1),
                    partial(bytes, [expected]),
                )

    def teardown(self) -> None:
        """Unmap everything; the worker processes live longer than the model."""
        for mapping in self.mappings:
            mapping.worker.do(munmap, mapping.address, PAGES * PAGESIZE)
        os.close(self.fd)
        super().teardown()
