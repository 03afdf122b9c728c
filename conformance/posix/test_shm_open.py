"""shm_open(3): creating and opening POSIX shared memory objects."""

from __future__ import annotations

import fcntl
import os
import stat
from errno import EACCES, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT, EPERM

import pytest

from pytest_ipc import Need, clause, disputed, fails_with, untested
from pytest_ipc.kernel import (
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
    capabilities,
    ftruncate,
    mmap,
    mprotect,
    munmap,
    shm_open,
)

from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER, become, limit_process
from ..memory import peek

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@clause("shm_open.create-size-zero", "shm_open(3)", "O_CREAT")
def test_new_object_is_empty(names, opened):
    """shm_open() with O_CREAT creates an object of length 0."""
    assert os.fstat(opened(names(), NEW)).st_size == 0


@clause("shm_open.grown-bytes-zero", "shm_open(3)", "O_CREAT")
def test_added_bytes_are_zero(posix_shm, page):
    """ftruncate() extends an object with bytes of 0, also where it had other bytes before it was truncated."""
    shared = posix_shm(2 * page)
    shared.map().buf[:] = b"x" * (2 * page)
    ftruncate(shared.fd, 10)
    ftruncate(shared.fd, 3 * page)
    assert os.pread(shared.fd, 4 * page, 0) == b"x" * 10 + bytes(3 * page - 10)


@clause("shm_open.mode-umask", "shm_open(3)", "O_CREAT")
def test_umask_clears_permissions(names, fork):
    """shm_open() with O_CREAT clears the bits of the umask from the mode of a new object."""
    wanted = [names() for _ in range(3)]

    def make() -> list[str]:
        modes = []
        for name, umask in zip(wanted, (0, 0o027, 0o777), strict=True):
            os.umask(umask)
            modes.append(oct(stat.S_IMODE(os.fstat(shm_open(name, NEW, 0o766)).st_mode)))
        return modes

    assert fork(make).result() == ["0o766", "0o740", "0o0"]


@clause("shm_open.owner-ids", "shm_open(3)", "O_CREAT")
def test_new_object_has_the_effective_ids(names, fork):
    """shm_open() sets owner and group of a new object to the effective user and group IDs of the caller."""
    name = names()

    def make() -> tuple[int, int, int, int]:
        try:
            os.setresgid(-1, GROUP, -1)
            os.setresuid(-1, OWNER, -1)
        except OSError as error:
            untested(
                Need.OTHER_USERS, f"needs CAP_SETUID and CAP_SETGID, and ids that are mapped here: {error.strerror}"
            )
        if not os.access("/dev/shm", os.W_OK, effective_ids=True):
            untested(Need.SHARED_MEMORY_FILES, "needs a /dev/shm in which every user may make files")
        status = os.fstat(shm_open(name, NEW))
        return status.st_uid, status.st_gid, os.getuid(), os.getgid()

    uid, gid, real_uid, real_gid = fork(make).result()
    assert (uid, gid) == (OWNER, GROUP)
    assert (real_uid, real_gid) != (OWNER, GROUP)


@clause("shm_open.creat-opens-what-exists", "shm_open(3)", "O_CREAT")
def test_creat_opens_an_existing_object_unchanged(posix_shm, opened):
    """shm_open() with O_CREAT opens an existing object of the name, and keeps its content and mode."""
    shared = posix_shm(100)
    os.fchmod(shared.fd, 0o640)
    shared.map().buf[:4] = b"kept"
    fd = opened(shared.name, os.O_RDWR | os.O_CREAT, 0o600)
    assert os.path.sameopenfile(fd, shared.fd)
    assert (os.pread(fd, 200, 0), stat.S_IMODE(os.fstat(fd).st_mode)) == (b"kept" + bytes(96), 0o640)


@clause("shm_open.excl-eexist", "shm_open(3)", "ERRORS", errno=EEXIST)
def test_excl_fails_if_name_exists(posix_shm):
    """shm_open() with O_CREAT | O_EXCL fails with EEXIST if an object has the name, and does not change it."""
    shared = posix_shm(100)
    with fails_with(EEXIST):
        shm_open(shared.name, NEW)
    assert (shared.exists(), shared.size) == (True, 100)


@clause("shm_open.excl-atomic-race", "shm_open(3)", "O_EXCL")
def test_concurrent_excl_has_one_winner(names, fork, pipe):
    """Of concurrent shm_open() calls with O_CREAT | O_EXCL for one name exactly one succeeds."""
    rounds = [names() for _ in range(20)]
    gate, ready = pipe(), pipe()

    def race() -> list[bool]:
        ready.write(b"!")
        gate.reader.read(1)
        won = []
        for name in rounds:
            try:
                os.close(shm_open(name, NEW))
            except FileExistsError:
                won.append(False)
            else:
                won.append(True)
        return won

    racers = [fork(race) for _ in range(4)]
    for _ in racers:
        ready.read(1)
    gate.write(b"!" * len(racers))
    results = [racer.result() for racer in racers]
    assert [sum(won) for won in zip(*results, strict=True)] == [1] * len(rounds)


@clause("shm_open.trunc", "shm_open(3)", "O_TRUNC")
def test_trunc_empties_the_object(posix_shm, opened):
    """shm_open() with O_TRUNC truncates an existing object to 0 bytes, and keeps its mode and owner."""
    shared = posix_shm(100)
    os.fchmod(shared.fd, 0o640)
    before = shared.stat()
    after = os.fstat(opened(shared.name, os.O_RDWR | os.O_TRUNC))
    assert (after.st_size, after.st_ino, after.st_mode) == (0, before.st_ino, before.st_mode)
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@clause("shm_open.rdonly-trunc-linux", "shm_open(3)", "VERSIONS")
def test_trunc_works_with_rdonly(posix_shm, opened):
    """shm_open() with O_RDONLY | O_TRUNC truncates an existing object to 0 bytes on Linux."""
    shared = posix_shm(100)
    opened(shared.name, os.O_RDONLY | os.O_TRUNC)
    assert shared.size == 0


@clause("shm_open.lowest-fd", "shm_open(3)", "DESCRIPTION")
def test_descriptor_is_the_lowest_free(posix_shm, opened):
    """shm_open() returns the lowest-numbered descriptor that is not open in the process."""
    shared = posix_shm()
    first, second = (os.open(os.devnull, os.O_RDONLY) for _ in range(2))
    os.close(second)
    os.close(first)
    assert first < second
    assert [opened(shared.name, os.O_RDWR) for _ in range(2)] == [first, second]


@clause("shm_open.cloexec", "shm_open(3)", "DESCRIPTION")
def test_descriptor_is_close_on_exec(posix_shm, names, opened):
    """shm_open() sets FD_CLOEXEC on the descriptor of a new object and of an existing one."""
    fds = [opened(names(), NEW), opened(posix_shm().name, os.O_RDONLY)]
    assert [fcntl.fcntl(fd, fcntl.F_GETFD) for fd in fds] == [fcntl.FD_CLOEXEC] * 2


@clause("shm_open.rdonly-cannot-map-write", "shm_open(3)", "O_RDONLY", errno=EACCES)
def test_read_only_object_cannot_be_mapped_for_writing(posix_shm, opened, page):
    """An object opened with O_RDONLY can be mapped for reading; mmap() and mprotect() for writing fail with EACCES."""
    shared = posix_shm(page)
    shared.map().buf[:4] = b"read"
    fd = opened(shared.name, os.O_RDONLY)
    with fails_with(EACCES):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd)
    address = mmap(None, page, PROT_READ, MAP_SHARED, fd)
    assert peek(address, 4) == b"read"
    with fails_with(EACCES):
        mprotect(address, page, PROT_READ | PROT_WRITE)
    munmap(address, page)


def errno_of_opening(name: str, flags: int) -> int | None:
    try:
        os.close(shm_open(name, flags))
    except OSError as error:
        return error.errno
    return None


@clause("shm_open.eacces", "shm_open(3)", "ERRORS", errno=EACCES)
def test_mode_is_checked_at_open(posix_shm, as_user):
    """shm_open() fails with EACCES for an access mode that the mode of the object does not grant."""
    readable, closed = posix_shm(), posix_shm()
    os.fchmod(readable.fd, 0o644)

    def open_both() -> list[int | None]:
        return [
            errno_of_opening(shared.name, flags) for shared in (readable, closed) for flags in (os.O_RDONLY, os.O_RDWR)
        ]

    assert as_user(STRANGER, OTHER_GROUP, open_both) == [None, EACCES, EACCES, EACCES]


@clause("shm_open.eacces-trunc", "shm_open(3)", "ERRORS", errno=EACCES)
def test_trunc_needs_write_permission(posix_shm, as_user):
    """shm_open() with O_TRUNC fails with EACCES without write permission, and the object keeps its size."""
    shared = posix_shm(100)
    os.fchmod(shared.fd, 0o644)
    assert as_user(STRANGER, OTHER_GROUP, errno_of_opening, shared.name, os.O_RDONLY | os.O_TRUNC) == EACCES
    assert shared.size == 100


@clause("shm_open.enoent", "shm_open(3)", "ERRORS", errno=ENOENT)
def test_unused_name_fails(names):
    """shm_open() without O_CREAT fails with ENOENT for a name that no object has, and creates none."""
    name = names()
    for _ in range(2):
        with fails_with(ENOENT):
            shm_open(name, os.O_RDWR)


@clause("shm_open.emfile", "shm_open(3)", "ERRORS", errno=EMFILE)
def test_open_needs_a_free_descriptor(names, fork):
    """shm_open() fails with EMFILE at the limit of open descriptors, and creates no object."""
    name = names()

    def fill_and_open() -> bool:
        limit_process("NOFILE", 32, 32)
        taken = []
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        with fails_with(EMFILE):
            shm_open(name, NEW)
        os.close(taken.pop())
        with fails_with(ENOENT):
            shm_open(name, os.O_RDWR)
        return True

    assert fork(fill_and_open).result()


@clause("shm_open.longest-name", "shm_open(3)", "DESCRIPTION")
def test_longest_name(names, opened):
    """shm_open() accepts a name of NAME_MAX characters, the slash included."""
    name = names(254)
    assert len(name) == 255
    fd = opened(name, NEW)
    assert os.path.sameopenfile(opened(name, os.O_RDWR), fd)


@clause("shm_open.enametoolong-component", "shm_open(3)", "ERRORS", errno=ENAMETOOLONG)
def test_name_longer_than_name_max_fails():
    """shm_open() fails with ENAMETOOLONG for a name with more than NAME_MAX characters after the slash."""
    with fails_with(ENAMETOOLONG):
        shm_open("/" + "x" * 256, NEW)


@clause(
    "shm_open.enametoolong-path_max",
    "shm_open(3)",
    "ERRORS",
    errno=ENAMETOOLONG,
    disputed="glibc since 2.34 gives EINVAL",
)
def test_name_longer_than_path_max_fails():
    """shm_open() fails with ENAMETOOLONG for a name longer than PATH_MAX."""
    with pytest.raises(OSError) as failure:
        shm_open("/" + "x" * 5000, NEW)
    assert failure.value.errno in (ENAMETOOLONG, EINVAL), failure.value
    if failure.value.errno == EINVAL:
        disputed(manual="ENAMETOOLONG", linux="with its glibc fails with EINVAL")


@pytest.mark.parametrize("name", ["/inner/slash", "", "/", "inner/slash"])
@clause("shm_open.name-inner-slash-einval", "shm_open(3)", "ERRORS", errno=EINVAL)
def test_inner_slash_fails(name):
    """shm_open() fails with EINVAL for an empty name, for "/", and for a name with a slash after the leading ones."""
    for flags in (NEW, os.O_RDWR):
        with fails_with(EINVAL):
            shm_open(name, flags)


@clause("shm_open.no-leading-slash", "shm_open(3)", "DESCRIPTION")
def test_leading_slash_is_optional(posix_shm, opened):
    """shm_open() on Linux opens the same object with no leading slash and with several."""
    shared = posix_shm()
    for name in (shared.name[1:], f"/{shared.name}"):
        assert os.path.sameopenfile(opened(name, os.O_RDWR), shared.fd)


@clause(
    "shm_open.mode-low9",
    "shm_open(3)",
    "O_CREAT",
    disputed="the set-user-ID, set-group-ID and sticky bits are set too",
)
def test_mode_is_limited_to_nine_bits(names, fork):
    """shm_open() with O_CREAT uses only the nine permission bits of its mode argument."""
    name = names()

    def make() -> int:
        os.umask(0)
        return stat.S_IMODE(os.fstat(shm_open(name, NEW, 0o7600)).st_mode)

    mode = fork(make).result()
    assert mode & 0o777 == 0o600
    if mode != 0o600:
        disputed(manual="that only the low nine bits are used", linux=f"makes an object of mode {mode:#o}")


@clause("shm_open.fchmod-effective", "shm_overview(7)", "DESCRIPTION", errno=EACCES)
def test_fchmod_affects_later_opens(posix_shm, as_user):
    """fchmod() on the descriptor of an object changes the permissions of later shm_open() calls."""
    shared = posix_shm()
    assert as_user(STRANGER, OTHER_GROUP, errno_of_opening, shared.name, os.O_RDWR) == EACCES
    os.fchmod(shared.fd, 0o666)
    assert as_user(STRANGER, OTHER_GROUP, errno_of_opening, shared.name, os.O_RDWR) is None


@clause("shm_open.fchown-effective", "shm_overview(7)", "DESCRIPTION", errno=EACCES)
def test_fchown_affects_later_opens(posix_shm, fork):
    """fchown() on the descriptor of an object changes the owner for
    later shm_open() calls; open descriptors stay usable.
    """
    shared = posix_shm()
    try:
        os.fchmod(shared.fd, 0o600)
        os.fchown(shared.fd, OWNER, GROUP)
    except OSError as error:
        untested(Need.OTHER_USERS, f"cannot give an object to another user: {error.strerror}")

    def open_as(uid: int) -> int | None:
        become(uid, OTHER_GROUP)
        return errno_of_opening(shared.name, os.O_RDWR)

    assert [fork(open_as, uid).result() for uid in (OWNER, STRANGER)] == [None, EACCES]
    assert os.pwrite(shared.fd, b"still", 0) == 5


@clause("shm_open.fchown-eperm", "shm_overview(7)", "DESCRIPTION", errno=EPERM)
def test_fchown_needs_privilege(posix_shm, fork):
    """fchown() of an object to another user fails with EPERM without privilege."""
    shared = posix_shm()

    def give_away() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        with fails_with(EPERM):
            os.fchown(shared.fd, OWNER, -1)

    fork(give_away).result()
    assert shared.stat().st_uid == os.geteuid()
