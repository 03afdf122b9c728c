"""sem_open(3), sem_overview(7): creating and opening named semaphores."""

from __future__ import annotations

import os
from errno import EACCES, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT
from os import O_CREAT, O_EXCL
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

import pytest

from pytest_ipc import clause, fails_with
from pytest_ipc.kernel import SEM_VALUE_MAX, sem_close, sem_getvalue, sem_open, sem_post, sem_unlink

from ..conftest import succeeded
from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER, become
from ..on_record import ReservedName
from .conftest import as_ordinary_user, file_of, may_make_semaphores


@clause("sem_open.create-initial-value", "sem_open(3)", "DESCRIPTION")
def test_new_semaphore_has_the_value_given(opened_sem, sem_name):
    """sem_open() with O_CREAT creates a semaphore with the value given."""
    assert sem_getvalue(opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 7)) == 7


@clause("sem_open.existing-value-mode-ignored", "sem_open(3)", "DESCRIPTION")
def test_creat_opens_an_existing_semaphore_unchanged(opened_sem, sem_name):
    """sem_open() with O_CREAT opens an existing semaphore of the name, ignoring the value and the mode given."""
    opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 7)
    before = file_of(sem_name).stat()
    assert sem_getvalue(opened_sem(sem_name, O_CREAT, 0o666, 3)) == 7
    assert file_of(sem_name).stat() == before


@clause("sem_open.name-leads-to-it", "sem_overview(7)", "DESCRIPTION")
def test_unrelated_programs_share_a_semaphore_by_name(posix_sem, program):
    """Programs that share only the name of a semaphore use the same semaphore."""
    semaphore = posix_sem(1)
    source = (
        "import sys, pytest_ipc.kernel as ipc\n"
        "semaphore = ipc.sem_open(sys.argv[1], 0)\n"
        "ipc.sem_trywait(semaphore)\n"
        "ipc.sem_post(semaphore); ipc.sem_post(semaphore)\n"
    )
    succeeded(program(source, semaphore.name))
    assert semaphore.value == 2


@clause("sem_open.excl-eexist", "sem_open(3)", "ERRORS", errno=EEXIST)
def test_excl_fails_if_name_exists(posix_sem):
    """sem_open() with O_CREAT | O_EXCL fails with EEXIST if a semaphore has the name, and does not change it."""
    semaphore = posix_sem(2)
    with fails_with(EEXIST):
        sem_open(semaphore.name, O_CREAT | O_EXCL, 0o600, 5)
    assert semaphore.value == 2


@clause("sem_open.einval-value", "sem_open(3)", "ERRORS", errno=EINVAL)
def test_value_above_the_maximum_fails(opened_sem, sem_name):
    """sem_open() with O_CREAT succeeds with SEM_VALUE_MAX, and fails with EINVAL for a higher value."""
    with fails_with(EINVAL):
        sem_open(sem_name, O_CREAT | O_EXCL, 0o600, SEM_VALUE_MAX + 1)
    assert sem_getvalue(opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, SEM_VALUE_MAX)) == SEM_VALUE_MAX


@clause("sem_open.einval-slash-only", "sem_open(3)", "ERRORS", errno=EINVAL)
def test_slash_alone_fails():
    """sem_open() fails with EINVAL for the name "/"."""
    with fails_with(EINVAL):
        sem_open("/", O_CREAT, 0o600, 0)


@clause("sem_open.enametoolong-boundary", "sem_overview(7)", "DESCRIPTION", errno=ENAMETOOLONG)
def test_longest_name(opened_sem, sem_name, ipc_scope):
    """sem_open() accepts a name of 251 characters, four less than NAME_MAX, and fails with ENAMETOOLONG for 253."""
    longest = ReservedName.sem(ipc_scope.scope, 250).name
    assert len(longest) == 251
    opened_sem(longest, O_CREAT | O_EXCL, 0o600, 0)
    sem_unlink(longest)
    with fails_with(ENAMETOOLONG):
        sem_open(sem_name.ljust(253, "n"), O_CREAT | O_EXCL, 0o600, 0)


@clause("sem_open.eacces", "sem_open(3)", "ERRORS", errno=EACCES)
def test_permissions_are_checked_at_open(posix_sem, as_user):
    """sem_open() fails with EACCES for a user without permissions on the
    semaphore, and succeeds with read and write permission.
    """
    closed, open_to_all = posix_sem(1), posix_sem(1)
    os.chmod(file_of(open_to_all.name), 0o606)

    def child() -> int:
        with fails_with(EACCES):
            sem_open(closed.name, 0)
        return sem_getvalue(sem_open(open_to_all.name, 0))

    assert as_user(STRANGER, GROUP, child) == 1


@clause("sem_open.enoent", "sem_open(3)", "ERRORS", errno=ENOENT)
def test_unused_name_fails(sem_name):
    """sem_open() without O_CREAT fails with ENOENT for a name that no semaphore has, and creates none."""
    for _ in range(2):
        with fails_with(ENOENT):
            sem_open(sem_name, 0)


@clause("sem_open.emfile", "sem_open(3)", "ERRORS", errno=EMFILE)
def test_open_needs_a_free_descriptor(fork, sem_name):
    """sem_open() fails with EMFILE at the limit of open descriptors, and creates no semaphore."""

    def child() -> None:
        free = os.dup(0)
        os.close(free)
        limits = getrlimit(RLIMIT_NOFILE)
        setrlimit(RLIMIT_NOFILE, (free, limits[1]))
        with fails_with(EMFILE):
            sem_open(sem_name, O_CREAT | O_EXCL, 0o600, 0)
        setrlimit(RLIMIT_NOFILE, limits)
        with fails_with(ENOENT):
            sem_open(sem_name, 0)

    fork(child).result()


@clause("sem_open.umask", "sem_open(3)", "DESCRIPTION")
def test_umask_clears_permissions(fork, sem_name):
    """sem_open() clears the bits of the umask from the mode of a new semaphore."""

    def child() -> None:
        os.umask(0o027)
        sem_open(sem_name, O_CREAT | O_EXCL, 0o666, 0)

    fork(child).result()
    assert file_of(sem_name).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("mode", [0o400, 0o200], ids=["read", "write"])
@clause("sem_open.read-and-write-needed", "sem_open(3)", "DESCRIPTION", errno=EACCES)
def test_read_and_write_permission_are_required(fork, sem_name, mode):
    """sem_open() fails with EACCES with only read or only write permission."""

    def child() -> None:
        as_ordinary_user()
        may_make_semaphores()
        sem_open(sem_name, O_CREAT | O_EXCL, mode, 0)
        with fails_with(EACCES):
            sem_open(sem_name, 0)

    fork(child).result()


@clause("sem_open.owner-effective-ids", "sem_open(3)", "DESCRIPTION")
def test_new_semaphore_has_the_effective_ids(fork, sem_name):
    """sem_open() sets owner and group of a new semaphore to the effective user and group IDs of the caller."""

    def child() -> None:
        become(OWNER, OTHER_GROUP)
        may_make_semaphores()
        sem_open(sem_name, O_CREAT | O_EXCL, 0o600, 0)

    fork(child).result()
    found = file_of(sem_name).stat()
    assert (found.st_uid, found.st_gid) == (OWNER, OTHER_GROUP)


@clause("sem_open.same-address-in-process", "sem_open(3)", "RETURN VALUE")
def test_process_has_one_address_per_semaphore(posix_sem, opened_sem):
    """sem_open() of the same name in one process returns the same
    address, which stays valid until the last sem_close().
    """
    semaphore = posix_sem(1)
    first = sem_open(semaphore.name, 0)
    second = opened_sem(semaphore.name, 0)
    assert first == second
    sem_close(first)
    sem_post(second)
    assert semaphore.value == 2


@clause("sem_open.file-sem-dot-name", "sem_overview(7)", "Accessing named semaphores via the filesystem")
def test_semaphore_is_a_file(opened_sem, sem_name):
    """The named semaphore /NAME is the file /dev/shm/sem.NAME until it is unlinked."""
    path = f"/dev/shm/sem{sem_name.replace('/', '.')}"
    assert not os.path.lexists(path)
    opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 0)
    assert os.path.isfile(path)
    sem_unlink(sem_name)
    assert not os.path.lexists(path)
