"""memfd_create(2): anonymous files in memory."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from errno import EFAULT, EINVAL, EMFILE, ENODEV, ENOMEM, ENOSYS, EPERM

from pytest_ipc import Need, clause, disputed, fails_with, untested
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
    munmap,
    number_of,
)
from pytest_ipc.kernel.libc import syscall

from ..conftest import succeeded
from ..credentials import limit_process
from ..memory import peek

KNOWN_FLAGS = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC


@clause("memfd_create.initial-size-zero", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_memory_file_is_an_empty_regular_file(memfd):
    """memfd_create() creates a regular file of size 0."""
    status = os.fstat(memfd())
    assert (status.st_size, stat.S_ISREG(status.st_mode)) == (0, True)


@clause("memfd_create.behaves-like-a-file", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_memory_file_behaves_like_a_file(memfd, mapping, page):
    """A memory file can be written, read, truncated, extended and mapped."""
    fd = memfd()
    assert os.write(fd, b"0123456789") == 10
    os.ftruncate(fd, 5)
    os.ftruncate(fd, page)
    assert bytes(mapping(fd, page).buf) == b"01234" + bytes(page - 5)
    assert os.pread(fd, 3, 2) == b"234"


@clause("memfd_create.name-shown", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_name_is_shown_in_proc(memfd):
    """memfd_create()'s name argument is shown in /proc/self/fd as the link target, with the prefix "memfd:"."""
    fd = memfd(name="shown here")
    assert os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)") == "/memfd:shown here"


@clause("memfd_create.names-are-no-identity", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_same_name_makes_different_files(memfd):
    """memfd_create() creates a new file at every call, also with a name used before."""
    first, second = memfd(name="twice"), memfd(name="twice")
    os.write(first, b"x")
    assert not os.path.sameopenfile(first, second)
    assert os.fstat(second).st_size == 0


@clause("memfd_create.cloexec", "memfd_create(2)", "MFD_CLOEXEC", since="3.17")
def test_close_on_exec_is_set_on_request(memfd):
    """memfd_create() sets FD_CLOEXEC with MFD_CLOEXEC, and not without."""
    flags = [fcntl.fcntl(memfd(flag), fcntl.F_GETFD) for flag in (0, MFD_CLOEXEC)]
    assert flags == [0, fcntl.FD_CLOEXEC]


@clause("memfd_create.opened-rdwr", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_descriptor_is_opened_for_both(memfd):
    """memfd_create() opens the file for reading and writing."""
    assert fcntl.fcntl(memfd(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


@clause("memfd_create.sealing-not-allowed", "memfd_create(2)", "MFD_ALLOW_SEALING", since="3.17")
def test_sealing_is_allowed_on_request(memfd):
    """memfd_create() sets F_SEAL_SEAL without MFD_ALLOW_SEALING, and no seal with it."""
    assert [get_seals(memfd(flags)) for flags in (0, MFD_ALLOW_SEALING)] == [F_SEAL_SEAL, 0]


@clause("memfd_create.fork-shares", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_child_shares_the_file(memfd, fork):
    """A forked child inherits the descriptor of a memory file, which refers to the same file."""
    fd = memfd()
    fork(os.write, fd, b"from the child").result()
    assert os.pread(fd, 100, 0) == b"from the child"


@clause("memfd_create.exec-keeps", "memfd_create(2)", "DESCRIPTION", since="3.17")
def test_exec_keeps_the_descriptor(memfd, program):
    """execve() keeps the descriptor of a memory file open without FD_CLOEXEC."""
    fd = memfd()
    succeeded(program("import os, sys; os.write(int(sys.argv[1]), b'executed')", fd, keep=(fd,)))
    assert os.pread(fd, 100, 0) == b"executed"


@clause("memfd_create.opened-through-proc", "memfd_create(2)", "NOTES", since="3.17")
def test_unrelated_process_opens_the_file_through_proc(memfd, mapping, program, page):
    """An unrelated process can open a memory file through /proc/PID/fd and map it."""
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
def test_mapping_keeps_the_file(mapping, page):
    """A memory file exists while it is mapped, after its descriptors are closed."""
    fd = memfd_create("kept", 0)
    os.ftruncate(fd, page)
    os.pwrite(fd, b"kept", 0)
    first, second = mapping(fd, page), mapping(fd, page)
    os.close(fd)
    first.buf[0] = ord("K")
    assert bytes(second.buf[:4]) == b"Kept"


@clause("memfd_create.unknown-flag-einval", "memfd_create(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_unknown_flag_fails():
    """memfd_create() fails with EINVAL for unknown flags."""
    for bit in (1 << 12, 1 << 20):
        assert not bit & KNOWN_FLAGS
        with fails_with(EINVAL):
            memfd_create("test", bit)


@clause("memfd_create.name-249", "memfd_create(2)", "ERRORS", errno=EINVAL, since="3.17")
def test_name_longer_than_249_bytes_fails(memfd):
    """memfd_create() accepts names of 249 bytes and of none, and fails with EINVAL for 250 bytes."""
    memfd(name="x" * 249)
    memfd(name="")
    with fails_with(EINVAL):
        memfd_create("x" * 250, 0)


@clause("memfd_create.efault", "memfd_create(2)", "ERRORS", errno=EFAULT, since="3.17")
def test_inaccessible_name_fails(mapping, page):
    """memfd_create() fails with EFAULT for a name in inaccessible memory."""
    with fails_with(EFAULT):
        syscall(number_of("memfd_create"), mapping(None, page, PROT_NONE).address, 0)


@clause("memfd_create.emfile", "memfd_create(2)", "ERRORS", errno=EMFILE, since="3.17")
def test_needs_a_free_descriptor(fork):
    """memfd_create() fails with EMFILE at the limit of open descriptors."""

    def child() -> None:
        limit_process("NOFILE", 32, 32)
        try:
            while True:
                os.open(os.devnull, os.O_RDONLY)
        except OSError:
            with fails_with(EMFILE):
                memfd_create("test", 0)

    fork(child).result()


@clause("memfd_create.sigbus-beyond-eof", "mmap(2)", "ERRORS", since="3.17")
def test_access_beyond_the_end_raises_sigbus(memfd, mapping, fork, page):
    """Access to a page of a mapping wholly beyond the end of its memory file raises SIGBUS."""
    memory = mapping(memfd(size=1), 2 * page)
    assert fork(peek, memory.address + page - 1, 1).result() == b"\0"
    assert fork(peek, memory.address + page, 1).wait() == -signal.SIGBUS


@clause("memfd_create.noexec_seal", "mfd_noexec.rst", "MFD_NOEXEC_SEAL", since="6.3")
def test_noexec_seal(memfd):
    """memfd_create() with MFD_NOEXEC_SEAL makes the file not executable, sets
    only F_SEAL_EXEC, and fchmod() to executable fails with EPERM.
    """
    try:
        fd = memfd(MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        untested(Need.NEWER_KERNEL, "needs a kernel that knows MFD_NOEXEC_SEAL")
    assert os.fstat(fd).st_mode & 0o111 == 0
    assert get_seals(fd) == F_SEAL_EXEC
    with fails_with(EPERM):
        os.fchmod(fd, 0o700)


@clause("memfd_create.exec", "mfd_noexec.rst", "MFD_EXEC", since="6.3")
def test_exec_flag(memfd):
    """memfd_create() with MFD_EXEC makes the file executable, and fails with EACCES if vm.memfd_noexec is 2."""
    forbidden = limit("vm/memfd_noexec")
    if forbidden is None:
        untested(Need.NEWER_KERNEL, "needs a kernel that knows MFD_EXEC")
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
    disputed="allowed since Linux 4.16, as another section says",
)
def test_huge_pages_and_sealing():
    """memfd_create() with MFD_HUGETLB | MFD_ALLOW_SEALING fails with EINVAL."""
    try:
        fd = memfd_create("test", MFD_HUGETLB | MFD_ALLOW_SEALING)
    except OSError as error:
        if error.errno == EINVAL:
            return
        if error.errno not in (ENODEV, ENOMEM, ENOSYS, EPERM):
            raise
        untested(Need.HUGE_PAGES, f"needs huge pages: {error.strerror}")
    try:
        add_seals(fd, F_SEAL_GROW)
        assert get_seals(fd) == F_SEAL_GROW, "the flags were accepted, but the file cannot be sealed"
    finally:
        os.close(fd)
    disputed(manual="EINVAL under ERRORS, and in the text that it is supported", linux="allows it")


@clause("memfd_create.mapped-while-empty", "mmap(2)", "PROT_READ", since="3.17")
def test_empty_memory_file_can_be_mapped(memfd, fork, page):
    """mmap() of an empty memory file succeeds; access raises SIGBUS until the file is extended."""
    fd = memfd()
    address = mmap(None, page, PROT_READ, MAP_SHARED, fd)
    assert fork(peek, address, 1).wait() == -signal.SIGBUS
    os.ftruncate(fd, page)
    assert fork(peek, address, 1).result() == b"\0"
    munmap(address, page)
