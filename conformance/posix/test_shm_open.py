"""shm_open(3): making and opening POSIX shared memory objects."""

from __future__ import annotations

import fcntl
import os
import stat
from errno import EACCES, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT, EPERM

import pytest

from pytest_ipc import clause, disputed, fails_with, untested
from pytest_ipc.kernel import MAP_SHARED, PROT_READ, PROT_WRITE, capabilities, ftruncate, mmap, mprotect, shm_open

from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER, become, limit_process
from ..memory import peek

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


@clause("shm_open.create-size-zero", "shm_open(3)", "O_CREAT")
def test_a_new_object_is_empty(names, opened):
    """A new shared memory object has a length of 0."""
    assert os.fstat(opened(names(), NEW)).st_size == 0


@clause("shm_open.grown-bytes-zero", "shm_open(3)", "O_CREAT")
def test_what_an_object_gains_is_zero(posix_shm, page):
    """The bytes that an object gains by ftruncate are 0, also where it had others before it was made shorter."""
    shared = posix_shm(2 * page)
    shared.map().buf[:] = b"x" * (2 * page)
    ftruncate(shared.fd, 10)
    ftruncate(shared.fd, 3 * page)
    assert os.pread(shared.fd, 4 * page, 0) == b"x" * 10 + bytes(3 * page - 10)


@clause("shm_open.mode-umask", "shm_open(3)", "O_CREAT")
def test_the_umask_is_taken_from_the_mode(names, fork):
    """A new object has the permission bits of mode less those in the umask."""
    wanted = [names() for _ in range(3)]

    def make() -> list[str]:
        modes = []
        for name, umask in zip(wanted, (0, 0o027, 0o777), strict=True):
            os.umask(umask)
            modes.append(oct(stat.S_IMODE(os.fstat(shm_open(name, NEW, 0o766)).st_mode)))
        return modes

    assert fork(make).result() == ["0o766", "0o740", "0o0"]


@clause("shm_open.owner-ids", "shm_open(3)", "O_CREAT")
def test_a_new_object_belongs_to_the_effective_user(names, fork):
    """A new object belongs to the effective user and the effective group of its maker."""
    name = names()

    def make() -> tuple[int, int, int, int]:
        try:
            os.setresgid(-1, GROUP, -1)
            os.setresuid(-1, OWNER, -1)
        except OSError as error:
            untested(f"needs CAP_SETUID and CAP_SETGID, and ids that are mapped here: {error.strerror}")
        if not os.access("/dev/shm", os.W_OK, effective_ids=True):
            untested("needs a /dev/shm in which every user may make files")
        status = os.fstat(shm_open(name, NEW))
        return status.st_uid, status.st_gid, os.getuid(), os.getgid()

    uid, gid, real_uid, real_gid = fork(make).result()
    assert (uid, gid) == (OWNER, GROUP)
    assert (real_uid, real_gid) != (OWNER, GROUP)


@clause("shm_open.creat-opens-what-exists", "shm_open(3)", "O_CREAT")
def test_creat_alone_opens_what_exists(posix_shm, opened):
    """O_CREAT without O_EXCL opens the object that has the name, and leaves its content and its mode as they are."""
    shared = posix_shm(100)
    os.fchmod(shared.fd, 0o640)
    shared.map().buf[:4] = b"kept"
    fd = opened(shared.name, os.O_RDWR | os.O_CREAT, 0o600)
    assert os.path.sameopenfile(fd, shared.fd)
    assert (os.pread(fd, 200, 0), stat.S_IMODE(os.fstat(fd).st_mode)) == (b"kept" + bytes(96), 0o640)


@clause("shm_open.excl-eexist", "shm_open(3)", "ERRORS", errno=EEXIST)
def test_excl_fails_when_the_name_is_taken(posix_shm):
    """O_CREAT with O_EXCL fails when an object has the name, which is left as it was."""
    shared = posix_shm(100)
    with fails_with(EEXIST):
        shm_open(shared.name, NEW)
    assert (shared.exists(), shared.size) == (True, 100)


@clause("shm_open.excl-atomic-race", "shm_open(3)", "O_EXCL")
def test_only_one_of_many_makers_wins(names, fork, pipe):
    """Of several processes that make an object of one name with O_EXCL at the same time exactly one succeeds."""
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
def test_trunc_empties_an_object(posix_shm, opened):
    """O_TRUNC makes an existing object 0 bytes long; its mode and its owner stay."""
    shared = posix_shm(100)
    os.fchmod(shared.fd, 0o640)
    before = shared.stat()
    after = os.fstat(opened(shared.name, os.O_RDWR | os.O_TRUNC))
    assert (after.st_size, after.st_ino, after.st_mode) == (0, before.st_ino, before.st_mode)
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@clause("shm_open.rdonly-trunc-linux", "shm_open(3)", "VERSIONS")
def test_trunc_works_with_a_descriptor_for_reading(posix_shm, opened):
    """On Linux O_RDONLY with O_TRUNC makes an existing object 0 bytes long."""
    shared = posix_shm(100)
    opened(shared.name, os.O_RDONLY | os.O_TRUNC)
    assert shared.size == 0


@clause("shm_open.lowest-fd", "shm_open(3)", "DESCRIPTION")
def test_the_descriptor_is_the_lowest_that_is_free(posix_shm, opened):
    """The descriptor is the lowest number that is not open in the process."""
    shared = posix_shm()
    first, second = (os.open(os.devnull, os.O_RDONLY) for _ in range(2))
    os.close(second)
    os.close(first)
    assert first < second
    assert [opened(shared.name, os.O_RDWR) for _ in range(2)] == [first, second]


@clause("shm_open.cloexec", "shm_open(3)", "DESCRIPTION")
def test_the_descriptor_is_closed_on_exec(posix_shm, names, opened):
    """The descriptor has the close-on-exec flag, of a new object and of one that exists."""
    fds = [opened(names(), NEW), opened(posix_shm().name, os.O_RDONLY)]
    assert [fcntl.fcntl(fd, fcntl.F_GETFD) for fd in fds] == [fcntl.FD_CLOEXEC] * 2


@clause("shm_open.rdonly-cannot-map-write", "shm_open(3)", "O_RDONLY", errno=EACCES)
def test_an_object_opened_for_reading_is_mapped_for_reading(posix_shm, opened, page):
    """An object that was opened with O_RDONLY can be mapped for reading only, and not be made writable later."""
    shared = posix_shm(page)
    shared.map().buf[:4] = b"read"
    fd = opened(shared.name, os.O_RDONLY)
    with fails_with(EACCES):
        mmap(None, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd)
    address = mmap(None, page, PROT_READ, MAP_SHARED, fd)
    assert peek(address, 4) == b"read"
    with fails_with(EACCES):
        mprotect(address, page, PROT_READ | PROT_WRITE)


def errno_of_opening(name: str, flags: int) -> int | None:
    try:
        os.close(shm_open(name, flags))
    except OSError as error:
        return error.errno
    return None


@clause("shm_open.eacces", "shm_open(3)", "ERRORS", errno=EACCES)
def test_the_mode_says_who_may_open(posix_shm, as_user):
    """Who has no permission for it by the object's mode cannot open it to read, or to read and write."""
    readable, closed = posix_shm(), posix_shm()
    os.fchmod(readable.fd, 0o644)

    def open_both() -> list[int | None]:
        return [errno_of_opening(it.name, flags) for it in (readable, closed) for flags in (os.O_RDONLY, os.O_RDWR)]

    assert as_user(STRANGER, OTHER_GROUP, open_both) == [None, EACCES, EACCES, EACCES]


@clause("shm_open.eacces-trunc", "shm_open(3)", "ERRORS", errno=EACCES)
def test_trunc_needs_write_permission(posix_shm, as_user):
    """O_TRUNC is refused to who may only read, and the object keeps its size."""
    shared = posix_shm(100)
    os.fchmod(shared.fd, 0o644)
    assert as_user(STRANGER, OTHER_GROUP, errno_of_opening, shared.name, os.O_RDONLY | os.O_TRUNC) == EACCES
    assert shared.size == 100


@clause("shm_open.enoent", "shm_open(3)", "ERRORS", errno=ENOENT)
def test_a_name_that_nobody_has_is_not_found(names):
    """Without O_CREAT a name that no object has is refused, and nothing is made."""
    name = names()
    for _ in range(2):
        with fails_with(ENOENT):
            shm_open(name, os.O_RDWR)


@clause("shm_open.emfile", "shm_open(3)", "ERRORS", errno=EMFILE)
def test_a_process_that_has_all_its_descriptors_open(names, fork):
    """A process that has as many descriptors open as it may cannot open an object, and makes none."""
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
def test_a_name_has_name_max_bytes_at_most(names, opened):
    """A name may have up to NAME_MAX characters, its slash counted."""
    name = names(254)
    assert len(name) == 255
    fd = opened(name, NEW)
    assert os.path.sameopenfile(opened(name, os.O_RDWR), fd)


@clause("shm_open.enametoolong-component", "shm_open(3)", "ERRORS", errno=ENAMETOOLONG)
def test_a_longer_name_is_refused():
    """A name that no file can have, for it is longer than NAME_MAX, is refused."""
    with fails_with(ENAMETOOLONG):
        shm_open("/" + "x" * 256, NEW)


@clause(
    "shm_open.enametoolong-path_max",
    "shm_open(3)",
    "ERRORS",
    errno=ENAMETOOLONG,
    disputed="glibc since 2.34 gives EINVAL",
)
def test_a_name_longer_than_any_path_is_refused():
    """A name that is longer than PATH_MAX is refused with ENAMETOOLONG."""
    with pytest.raises(OSError) as failure:
        shm_open("/" + "x" * 5000, NEW)
    assert failure.value.errno in (ENAMETOOLONG, EINVAL), failure.value
    if failure.value.errno == EINVAL:
        disputed(manual="ENAMETOOLONG", linux="with its glibc answers EINVAL")


@pytest.mark.parametrize("name", ["/inner/slash", "", "/", "inner/slash"])
@clause("shm_open.name-inner-slash-einval", "shm_open(3)", "ERRORS", errno=EINVAL)
def test_a_name_with_a_slash_inside_is_refused(name):
    """A name with another slash than those it begins with, or with nothing else, is refused."""
    for flags in (NEW, os.O_RDWR):
        with fails_with(EINVAL):
            shm_open(name, flags)


@clause("shm_open.no-leading-slash", "shm_open(3)", "DESCRIPTION")
def test_the_slash_may_be_missing(posix_shm, opened):
    """On Linux a name without the slash, or with several of them, is that of the same object."""
    shared = posix_shm()
    for name in (shared.name[1:], f"/{shared.name}"):
        assert os.path.sameopenfile(opened(name, os.O_RDWR), shared.fd)


@clause(
    "shm_open.mode-low9",
    "shm_open(3)",
    "O_CREAT",
    disputed="the set-user-ID, set-group-ID and sticky bits are taken too",
)
def test_only_nine_bits_of_the_mode_are_taken(names, fork):
    """Of the mode only the nine permission bits are taken."""
    name = names()

    def make() -> int:
        os.umask(0)
        return stat.S_IMODE(os.fstat(shm_open(name, NEW, 0o7600)).st_mode)

    mode = fork(make).result()
    assert mode & 0o777 == 0o600
    if mode != 0o600:
        disputed(manual="that the low nine bits alone count", linux=f"makes an object of mode {mode:#o}")


@clause("shm_open.fchmod-effective", "shm_overview(7)", "DESCRIPTION", errno=EACCES)
def test_a_change_of_the_mode_counts_for_later_opens(posix_shm, as_user):
    """fchmod on an object's descriptor changes who may open it from then on."""
    shared = posix_shm()
    assert as_user(STRANGER, OTHER_GROUP, errno_of_opening, shared.name, os.O_RDWR) == EACCES
    os.fchmod(shared.fd, 0o666)
    assert as_user(STRANGER, OTHER_GROUP, errno_of_opening, shared.name, os.O_RDWR) is None


@clause("shm_open.fchown-effective", "shm_overview(7)", "DESCRIPTION", errno=EACCES)
def test_a_change_of_the_owner_counts_for_later_opens(posix_shm, fork):
    """fchown on an object's descriptor changes whose permissions count from then on; what is open stays open."""
    shared = posix_shm()
    try:
        os.fchmod(shared.fd, 0o600)
        os.fchown(shared.fd, OWNER, GROUP)
    except OSError as error:
        untested(f"cannot give an object to another user: {error.strerror}")

    def open_as(uid: int) -> int | None:
        become(uid, OTHER_GROUP)
        return errno_of_opening(shared.name, os.O_RDWR)

    assert [fork(open_as, uid).result() for uid in (OWNER, STRANGER)] == [None, EACCES]
    assert os.pwrite(shared.fd, b"still", 0) == 5


@clause("shm_open.fchown-eperm", "shm_overview(7)", "DESCRIPTION", errno=EPERM)
def test_an_owner_cannot_give_an_object_away(posix_shm, fork):
    """An owner without a privilege cannot give his object to another user."""
    shared = posix_shm()

    def give_away() -> None:
        if capabilities() != 0:
            become(STRANGER, GROUP)
        with fails_with(EPERM):
            os.fchown(shared.fd, OWNER, -1)

    fork(give_away).result()
    assert shared.stat().st_uid == os.geteuid()
