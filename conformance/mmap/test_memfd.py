"""memfd_create(2): files in memory that have no name."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from errno import EFAULT, EINVAL, EMFILE, ENODEV, ENOMEM, ENOSYS, EPERM

from pytest_ipc import clause, disputed, fails_with, untested
from pytest_ipc.kernel import (
    F_SEAL_EXEC,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    MAP_SHARED,
    MFD_ALLOW_SEALING,
    MFD_CLOEXEC,
    MFD_EXEC,
    MFD_HUGETLB,
    MFD_NOEXEC_SEAL,
    PROT_NONE,
    PROT_READ,
    add_seals,
    get_seals,
    limit,
    memfd_create,
    mmap,
    number_of,
)
from pytest_ipc.kernel.libc import syscall

from ..conftest import succeeded
from ..credentials import limit_process
from ..memory import peek

KNOWN_FLAGS = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC


@clause("memfd_create.initial-size-zero", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_a_memory_file_begins_empty(memfd):
    """A file of memfd_create is a regular file, and is 0 bytes long at first."""
    status = os.fstat(memfd())
    assert (status.st_size, stat.S_ISREG(status.st_mode)) == (0, True)


@clause("memfd_create.behaves-like-a-file", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_a_memory_file_is_written_cut_and_mapped(memfd, mapping, page):
    """A memory file can be written, read, made longer and shorter, and mapped, as a file on disk can."""
    fd = memfd()
    assert os.write(fd, b"0123456789") == 10
    os.ftruncate(fd, 5)
    os.ftruncate(fd, page)
    assert bytes(mapping(fd, page).buf) == b"01234" + bytes(page - 5)
    assert os.pread(fd, 3, 2) == b"234"


@clause("memfd_create.name-shown", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_the_name_is_shown_in_proc(memfd):
    """The name is shown as the target of the descriptor's link in /proc/self/fd, with memfd: before it."""
    fd = memfd(name="shown here")
    assert os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)") == "/memfd:shown here"


@clause("memfd_create.names-are-no-identity", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_files_of_one_name_are_different_files(memfd):
    """Several files can have the same name, and have nothing to do with each other."""
    first, second = memfd(name="twice"), memfd(name="twice")
    os.write(first, b"x")
    assert not os.path.sameopenfile(first, second)
    assert os.fstat(second).st_size == 0


@clause("memfd_create.cloexec", "memfd_create(2)", "MFD_CLOEXEC", since="3.17")
def test_the_flag_to_close_on_exec_is_asked_for(memfd):
    """The descriptor has the close-on-exec flag with MFD_CLOEXEC, and has not without."""
    flags = [fcntl.fcntl(memfd(asked), fcntl.F_GETFD) for asked in (0, MFD_CLOEXEC)]
    assert flags == [0, fcntl.FD_CLOEXEC]


@clause("memfd_create.opened-rdwr", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_the_descriptor_is_for_reading_and_writing(memfd):
    """The descriptor is open for reading and writing."""
    assert fcntl.fcntl(memfd(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


@clause("memfd_create.sealing-not-allowed", "memfd_create(2)", "MFD_ALLOW_SEALING", since="3.17")
def test_without_the_flag_there_is_the_seal_against_seals(memfd):
    """Without MFD_ALLOW_SEALING the file has the seal F_SEAL_SEAL from the start; with it, none."""
    assert [get_seals(memfd(flags)) for flags in (0, MFD_ALLOW_SEALING)] == [F_SEAL_SEAL, 0]


@clause("memfd_create.fork-shares", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_a_child_has_the_same_file(memfd, fork):
    """A forked child has a copy of the descriptor, which refers to the same file."""
    fd = memfd()
    fork(os.write, fd, b"from the child").result()
    assert os.pread(fd, 100, 0) == b"from the child"


@clause("memfd_create.exec-keeps", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_a_program_that_is_executed_has_the_file(memfd, program):
    """The descriptor stays open over exec unless it has the close-on-exec flag."""
    fd = memfd()
    succeeded(program("import os, sys; os.write(int(sys.argv[1]), b'executed')", fd, keep=(fd,)))
    assert os.pread(fd, 100, 0) == b"executed"


@clause("memfd_create.opened-through-proc", "memfd_create(2)", "NOTES", since="3.17")
def test_another_process_opens_it_through_proc(memfd, mapping, program, page):
    """An unrelated process gets at the file by opening the descriptor's link in /proc/PID/fd, and maps it."""
    fd = memfd(size=page)
    buffer = mapping(fd, page).buf
    buffer[:4] = b"here"
    source = (
        "import ctypes, os, sys, pytest_ipc.kernel as ipc\n"
        "address = ipc.mmap(None, 4, flags=ipc.MAP_SHARED, fd=os.open(sys.argv[1], os.O_RDWR))\n"
        "found = ctypes.string_at(address, 4)\n"
        "ctypes.memmove(address, b'back', 4)\n"
        "sys.exit(found != b'here')\n"
    )
    succeeded(program(source, f"/proc/{os.getpid()}/fd/{fd}"))
    assert bytes(buffer[:4]) == b"back"


@clause("memfd_create.released-with-last-reference", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_a_mapping_keeps_the_file(mapping, page):
    """A file whose descriptors are all closed lives on while it is mapped."""
    fd = memfd_create("kept", 0)
    os.ftruncate(fd, page)
    os.pwrite(fd, b"kept", 0)
    first, second = mapping(fd, page), mapping(fd, page)
    os.close(fd)
    first.buf[0] = ord("K")
    assert bytes(second.buf[:4]) == b"Kept"


@clause("memfd_create.unknown-flag-einval", "memfd_create(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_an_unknown_flag_is_refused():
    """Flags that there are not are refused."""
    for bit in (1 << 12, 1 << 20):
        assert not bit & KNOWN_FLAGS
        with fails_with(EINVAL):
            memfd_create("test", bit)


@clause("memfd_create.name-249", "memfd_create(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_a_name_has_a_longest_length(memfd):
    """A name may have 249 bytes, and not one more; it may also be empty."""
    memfd(name="x" * 249)
    memfd(name="")
    with fails_with(EINVAL):
        memfd_create("x" * 250, 0)


@clause("memfd_create.efault", "memfd_create(2)", "ERRORS", errno=EFAULT, since="3.17")
def test_a_name_that_is_nowhere_is_refused(mapping, page):
    """A name at an address that cannot be read is refused."""
    with fails_with(EFAULT):
        syscall(number_of("memfd_create"), mapping(None, page, PROT_NONE).address, 0)


@clause("memfd_create.emfile", "memfd_create(2)", "ERRORS", errno=EMFILE, since="3.17")
def test_a_process_that_has_all_its_descriptors_open(fork):
    """A process that has as many descriptors open as it may cannot make a memory file."""

    def life() -> None:
        limit_process("NOFILE", 32, 32)
        try:
            while True:
                os.open(os.devnull, os.O_RDONLY)
        except OSError:
            with fails_with(EMFILE):
                memfd_create("test", 0)

    fork(life).result()


@clause("memfd_create.sigbus-beyond-eof", "mmap(2)", "ERRORS", since="3.17")
def test_memory_beyond_the_end_is_a_bus_error(memfd, mapping, fork, page):
    """A page of a mapping that lies wholly beyond the end of the memory file is a SIGBUS."""
    there = mapping(memfd(size=1), 2 * page)
    assert fork(peek, there.address + page - 1, 1).result() == b"\0"
    assert fork(peek, there.address + page, 1).wait() == -signal.SIGBUS


@clause("memfd_create.noexec_seal", "mfd_noexec.rst", "MFD_NOEXEC_SEAL", since="6.3")
def test_a_memory_file_can_be_made_never_to_be_executed(memfd):
    """With MFD_NOEXEC_SEAL the file is not executable, and sealed so that it cannot be made so; other seals can be added."""
    try:
        fd = memfd(MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        untested("needs a kernel that knows MFD_NOEXEC_SEAL")
    assert os.fstat(fd).st_mode & 0o111 == 0
    assert get_seals(fd) == F_SEAL_EXEC
    with fails_with(EPERM):
        os.fchmod(fd, 0o700)


@clause("memfd_create.exec", "mfd_noexec.rst", "MFD_EXEC", since="6.3")
def test_a_memory_file_can_be_made_to_be_executed(memfd):
    """With MFD_EXEC the file is executable, unless the system forbids it with vm.memfd_noexec."""
    forbidden = limit("vm/memfd_noexec")
    if forbidden is None:
        untested("needs a kernel that knows MFD_EXEC")
    if forbidden == 2:
        with fails_with(13):
            memfd_create("test", MFD_EXEC)
        return
    assert os.fstat(memfd(MFD_EXEC)).st_mode & 0o111 == 0o111


@clause(
    "memfd_create.hugetlb-sealing-einval",
    "memfd_create(2)",
    "ERRORS",
    errno=EINVAL,
    since="4.14",
    disputed="allowed since Linux 4.16, as the page says elsewhere",
)
def test_huge_pages_and_seals_together():
    """MFD_HUGETLB and MFD_ALLOW_SEALING together are refused."""
    try:
        fd = memfd_create("test", MFD_HUGETLB | MFD_ALLOW_SEALING)
    except OSError as error:
        if error.errno == EINVAL:
            return
        if error.errno not in (ENODEV, ENOMEM, ENOSYS, EPERM):
            raise
        untested(f"needs huge pages: {error.strerror}")
    try:
        add_seals(fd, F_SEAL_GROW)
        assert get_seals(fd) == F_SEAL_GROW, "it was taken, and cannot be sealed"
    finally:
        os.close(fd)
    disputed(manual="EINVAL under ERRORS and that it is supported in its text", linux="allows it")


@clause("memfd_create.mapped-while-empty", "mmap(2)", "PROT_READ", since="3.17")
def test_an_empty_memory_file_can_be_mapped(memfd, fork, page):
    """A memory file may be mapped before it has a size; the memory is there once the file has one."""
    fd = memfd()
    address = mmap(None, page, PROT_READ, MAP_SHARED, fd)
    assert fork(peek, address, 1).wait() == -signal.SIGBUS
    os.ftruncate(fd, page)
    assert fork(peek, address, 1).result() == b"\0"
