"""process_vm_readv(2), process_vm_writev(2): transfer of data between the memory of two processes."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from errno import EFAULT, EINVAL, ESRCH

import pytest

from pytest_ipc import clause, disputed, fails_with
from pytest_ipc.kernel import PROT_NONE, mprotect, munmap, process_vm_readv, process_vm_writev
from pytest_ipc.kernel import mmap as raw_mmap

from ..memory import APART
from ..ptrace.access import sleeper
from ..ptrace.tracee import Exited, next_of
from ..signal.plain_child import NOBODY, bare_child

READ, WRITE = "process_vm_readv", "process_vm_writev"
EITHER = pytest.mark.parametrize("call", [process_vm_readv, process_vm_writev], ids=[READ, WRITE])
PAGE = mmap.PAGESIZE


class Words:
    """Memory of this process; a child has its own at the same address."""

    def __init__(self, data: bytes) -> None:
        self.buffer = ctypes.create_string_buffer(data, len(data))

    def __call__(self, start: int = 0, count: int | None = None) -> tuple[int, int]:
        """Return the address and length of a range of it."""
        return ctypes.addressof(self.buffer) + start, len(self.buffer) - start if count is None else count

    @property
    def data(self) -> bytes:
        """Return its content."""
        return self.buffer.raw


@pytest.fixture
def two_pages() -> Iterator[int]:
    """Yield the address of two pages that all children share; the second is inaccessible."""
    address = raw_mmap(None, 2 * PAGE, flags=APART)
    mprotect(address + PAGE, PAGE, PROT_NONE)
    yield address
    munmap(address, 2 * PAGE)


@pytest.fixture
def nowhere(two_pages: int) -> int:
    """Return an address that can be neither read nor written."""
    return two_pages + PAGE


@clause("process_vm_readv.reads", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
def test_memory_is_read(fork, pipe):
    """process_vm_readv() copies data from the memory of another process to the caller's and returns the number of
    bytes.
    """
    ready = pipe()
    theirs, mine = Words(b"0123456789"), Words(bytes(10))

    def write() -> None:
        theirs.buffer.raw = b"abcdefghij"

    def life() -> None:
        pid = sleeper(ready, write)
        assert process_vm_readv(pid, [mine()], [theirs()]) == 10
        assert (mine.data, theirs.data) == (b"abcdefghij", b"0123456789")
        assert process_vm_readv(pid, [mine(2, 3)], [theirs(5, 3)]) == 3
        assert mine.data == b"abfghfghij"

    fork(life).result()


@clause("process_vm_writev.writes", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
def test_memory_is_written(fork, pipe):
    """process_vm_writev() copies data from the caller's memory to that of another process and returns the number of
    bytes.
    """
    go = pipe()
    theirs, mine = Words(b"0123456789"), Words(b"abc")

    def life() -> None:
        pid = bare_child(lambda: 0 if go.read(1, timeout=None) and theirs.data == b"01abc56789" else 1)
        assert process_vm_writev(pid, [mine()], [theirs(2, 3)]) == 3
        assert theirs.data == b"0123456789"
        go.write(b"!")
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("process_vm_readv.vectors", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
def test_vectors_are_read_in_order(fork, pipe):
    """process_vm_readv() processes the elements of both vectors in array order, each completely before the next;
    lengths may differ.
    """
    ready = pipe()
    words, mine = Words(b"0123456789"), Words(bytes(10))

    def life() -> None:
        pid = sleeper(ready)
        assert process_vm_readv(pid, [mine(6, 4), mine(0, 6)], [words(8, 2), words(0, 1), words(3, 5)]) == 8
        assert mine.data == b"4567\0\0" + b"8903"

    fork(life).result()


@clause("process_vm_writev.vectors", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
def test_vectors_are_written_in_order(fork, pipe):
    """process_vm_writev() writes each local buffer completely before the next, and fills each remote one before the
    next.
    """
    go = pipe()
    theirs, mine = Words(b"0123456789"), Words(b"abcdef")

    def life() -> None:
        pid = bare_child(lambda: 0 if go.read(1, timeout=None) and theirs.data == b"cab3de6f89" else 1)
        local = [mine(0, 1), mine(1, 5)]
        assert process_vm_writev(pid, local, [theirs(1, 2), theirs(0, 1), theirs(4, 2), theirs(7, 1)]) == 6
        go.write(b"!")
        assert next_of(pid) == Exited(0)

    fork(life).result()


@clause("process_vm.many", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
@EITHER
def test_iov_max_elements_are_processed(fork, pipe, call):
    """process_vm_readv() and process_vm_writev() process vectors of IOV_MAX elements."""
    ready = pipe()
    most = os.sysconf("SC_IOV_MAX")
    theirs, mine = Words(b"r" * most), Words(b"l" * most)

    def life() -> None:
        pid = sleeper(ready)
        assert call(pid, [mine(n, 1) for n in range(most)], [theirs(n, 1) for n in reversed(range(most))]) == most
        check = Words(bytes(most))
        process_vm_readv(pid, [check()], [theirs()])
        assert check.data == mine.data == (b"r" if call is process_vm_readv else b"l") * most

    fork(life).result()


@clause("process_vm.too-many-einval", "process_vm_readv(2)", "ERRORS", errno=EINVAL, since="3.2")
@EITHER
@pytest.mark.parametrize("side", ["local", "remote"])
def test_too_many_elements_fail(fork, pipe, call, side):
    """process_vm_readv() and process_vm_writev() fail with EINVAL for more than IOV_MAX elements, and transfer
    nothing.
    """
    ready = pipe()
    words = Words(b"0123456789")

    def life() -> None:
        pid = sleeper(ready)
        many, one = [words(0, 1)] * (os.sysconf("SC_IOV_MAX") + 1), [words(5, 1)]
        with fails_with(EINVAL):
            call(pid, many if side == "local" else one, one if side == "local" else many)
        assert words.data == b"0123456789"

    fork(life).result()


@clause("process_vm.sum-einval", "process_vm_readv(2)", "ERRORS", errno=EINVAL, since="3.2")
@EITHER
@pytest.mark.parametrize("side", ["local", "remote"])
def test_overflowing_length_fails(fork, pipe, call, side):
    """process_vm_readv() and process_vm_writev() fail with EINVAL if the sum of the lengths overflows ssize_t."""
    ready = pipe()
    words = Words(b"0123456789")
    most = (1 << (8 * ctypes.sizeof(ctypes.c_ssize_t) - 1)) - 1

    def life() -> None:
        pid = sleeper(ready)
        long, one = [words(0, 1), words(0, most + 1)], [words(5, 1)]
        with fails_with(EINVAL):
            call(pid, long if side == "local" else one, one if side == "local" else long)

    fork(life).result()


@clause("process_vm.flags-einval", "process_vm_readv(2)", "ERRORS", errno=EINVAL, since="3.2")
@EITHER
def test_flags_fail(fork, pipe, call):
    """process_vm_readv() and process_vm_writev() fail with EINVAL if flags is not 0."""
    ready = pipe()
    words = Words(b"0123456789")

    def life() -> None:
        with fails_with(EINVAL):
            call(sleeper(ready), [words(0, 1)], [words(1, 1)], 1)

    fork(life).result()


@clause("process_vm.esrch", "process_vm_readv(2)", "ERRORS", errno=ESRCH, since="3.2")
@EITHER
def test_nonexistent_process_fails(fork, call):
    """process_vm_readv() and process_vm_writev() fail with ESRCH for a process that does not exist."""
    words = Words(b"0123456789")

    def life() -> None:
        gone = bare_child(int)
        os.waitpid(gone, 0)
        for pid in (gone, NOBODY):
            with fails_with(ESRCH):
                call(pid, [words(0, 1)], [words(1, 1)])

    fork(life).result()


@clause("process_vm.remote-efault", "process_vm_readv(2)", "ERRORS", errno=EFAULT, since="3.2")
@EITHER
def test_inaccessible_remote_memory_fails(fork, pipe, nowhere, call):
    """process_vm_readv() and process_vm_writev() fail with EFAULT if the memory of the other process is
    inaccessible.
    """
    ready = pipe()
    words = Words(b"0123456789")

    def life() -> None:
        with fails_with(EFAULT):
            call(sleeper(ready), [words()], [(nowhere, 10)])
        assert words.data == b"0123456789"

    fork(life).result()


@clause("process_vm.local-efault", "process_vm_readv(2)", "ERRORS", errno=EFAULT, since="3.2")
@EITHER
def test_inaccessible_local_memory_fails(fork, pipe, nowhere, call):
    """process_vm_readv() and process_vm_writev() fail with EFAULT if the memory of the caller is inaccessible."""
    ready = pipe()
    words = Words(b"0123456789")

    def life() -> None:
        with fails_with(EFAULT):
            call(sleeper(ready), [(nowhere, 10)], [words()])

    fork(life).result()


@clause(
    "process_vm.local-checked-first",
    "process_vm_readv(2)",
    "DESCRIPTION",
    errno=EFAULT,
    since="3.2",
    disputed="the elements before the inaccessible one are transferred",
)
@EITHER
def test_local_elements_are_checked_first(fork, pipe, nowhere, call):
    """If one local element is inaccessible, process_vm_readv() and process_vm_writev() fail with EFAULT at once and
    process none of them.
    """
    ready = pipe()
    words, mine = Words(b"0123456789"), Words(b"abcde")

    def life() -> None:
        pid = sleeper(ready)
        moved = 0
        try:
            moved = call(pid, [mine(), (nowhere, 5)], [words()])
        except OSError as error:
            if error.errno != EFAULT:
                raise
        if moved == 5:
            disputed("none of the vectors is processed", "transfers the elements before the inaccessible one")
        assert (moved, mine.data) == (0, b"abcde")

    fork(life).result()


@clause("process_vm_writev.read-only-efault", "process_vm_readv(2)", "ERRORS", errno=EFAULT, since="3.2")
def test_read_only_memory_fails(fork, pipe, two_pages):
    """process_vm_writev() fails with EFAULT for memory that the other process may not write."""
    ready = pipe()
    mine, check = Words(b"abc"), Words(b"xyz")
    mprotect(two_pages, PAGE, mmap.PROT_READ)

    def life() -> None:
        pid = sleeper(ready)
        with fails_with(EFAULT):
            process_vm_writev(pid, [mine()], [(two_pages, 3)])
        assert process_vm_readv(pid, [check()], [(two_pages, 3)]) == 3
        assert check.data == bytes(3)

    fork(life).result()


@clause("process_vm.partial", "process_vm_readv(2)", "DESCRIPTION", since="3.2")
@EITHER
def test_transfer_ends_at_first_inaccessible_element(fork, pipe, nowhere, call):
    """The transfer ends at the first inaccessible remote element; the elements before it are transferred and
    counted, later ones are not.
    """
    ready = pipe()
    theirs, mine = Words(b"0123456789"), Words(b"abcdefghij")

    def life() -> None:
        pid = sleeper(ready)
        assert call(pid, [mine()], [theirs(0, 3), (nowhere, 3), theirs(6, 4)]) == 3
        check = Words(bytes(10))
        process_vm_readv(pid, [check()], [theirs()])
        read = call is process_vm_readv
        assert mine.data == (b"012defghij" if read else b"abcdefghij")
        assert check.data == (b"0123456789" if read else b"abc3456789")

    fork(life).result()


@clause("process_vm.partial-pages", "process_vm_readv(2)", "RETURN VALUE", since="3.2")
@EITHER
def test_element_is_transferred_up_to_inaccessible_page(fork, pipe, two_pages, call):
    """A remote element is transferred up to its first inaccessible page."""
    ready = pipe()
    mine = Words(b"l" * (2 * PAGE))
    ctypes.memset(two_pages, ord("r"), PAGE)

    def life() -> None:
        pid = sleeper(ready)
        assert call(pid, [mine()], [(two_pages + 100, 2 * PAGE - 100)]) == PAGE - 100
        if call is process_vm_readv:
            assert mine.data == b"r" * (PAGE - 100) + b"l" * (PAGE + 100)
        else:
            assert ctypes.string_at(two_pages, PAGE) == b"r" * 100 + b"l" * (PAGE - 100)

    fork(life).result()
