"""sem_open(3), sem_overview(7): making and finding named semaphores."""

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
def test_a_new_semaphore_has_the_value_given(opened_sem, sem_name):
    """A semaphore that O_CREAT makes has the value that was given."""
    assert sem_getvalue(opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 7)) == 7


@clause("sem_open.existing-value-mode-ignored", "sem_open(3)", "DESCRIPTION")
def test_creat_finds_what_exists_as_it_is(opened_sem, sem_name):
    """O_CREAT with the name of an existing semaphore opens that one; the value and the mode given are ignored."""
    opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 7)
    before = file_of(sem_name).stat()
    assert sem_getvalue(opened_sem(sem_name, O_CREAT, 0o666, 3)) == 7
    assert file_of(sem_name).stat() == before


@clause("sem_open.name-leads-to-it", "sem_overview(7)", "DESCRIPTION")
def test_two_processes_meet_by_name(posix_sem, program):
    """Programs that have nothing in common but the name operate on the same semaphore."""
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
def test_excl_fails_when_the_name_is_taken(posix_sem):
    """O_CREAT with O_EXCL fails when a semaphore of that name exists, and leaves it as it was."""
    semaphore = posix_sem(2)
    with fails_with(EEXIST):
        sem_open(semaphore.name, O_CREAT | O_EXCL, 0o600, 5)
    assert semaphore.value == 2


@clause("sem_open.einval-value", "sem_open(3)", "ERRORS", errno=EINVAL)
def test_a_value_above_the_greatest_is_refused(opened_sem, sem_name):
    """A value above SEM_VALUE_MAX is refused and nothing is made; SEM_VALUE_MAX itself is taken."""
    with fails_with(EINVAL):
        sem_open(sem_name, O_CREAT | O_EXCL, 0o600, SEM_VALUE_MAX + 1)
    assert sem_getvalue(opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, SEM_VALUE_MAX)) == SEM_VALUE_MAX


@clause("sem_open.einval-slash-only", "sem_open(3)", "ERRORS", errno=EINVAL)
def test_a_slash_alone_is_no_name():
    """A name of a slash and nothing after it is refused."""
    with fails_with(EINVAL):
        sem_open("/", O_CREAT, 0o600, 0)


@clause("sem_open.enametoolong-boundary", "sem_overview(7)", "DESCRIPTION", errno=ENAMETOOLONG)
def test_the_longest_name(opened_sem, sem_name, ipc_scope):
    """A name of 251 characters, four less than a file's, is taken; with more than 251 after the slash it is refused."""
    longest = ReservedName.sem(ipc_scope.scope, 250).name
    assert len(longest) == 251
    opened_sem(longest, O_CREAT | O_EXCL, 0o600, 0)
    sem_unlink(longest)
    with fails_with(ENAMETOOLONG):
        sem_open(sem_name.ljust(253, "n"), O_CREAT | O_EXCL, 0o600, 0)


@clause("sem_open.eacces", "sem_open(3)", "ERRORS", errno=EACCES)
def test_another_users_semaphore_is_closed(posix_sem, as_user):
    """A semaphore whose mode gives a user nothing cannot be opened by him, and can when it gives him both bits."""
    closed, open_to_all = posix_sem(1), posix_sem(1)
    os.chmod(file_of(open_to_all.name), 0o606)

    def child() -> int:
        with fails_with(EACCES):
            sem_open(closed.name, 0)
        return sem_getvalue(sem_open(open_to_all.name, 0))

    assert as_user(STRANGER, GROUP, child) == 1


@clause("sem_open.enoent", "sem_open(3)", "ERRORS", errno=ENOENT)
def test_a_name_that_nobody_has_is_not_found(sem_name):
    """A name that no semaphore has fails without O_CREAT, and makes nothing."""
    for _ in range(2):
        with fails_with(ENOENT):
            sem_open(sem_name, 0)


@clause("sem_open.emfile", "sem_open(3)", "ERRORS", errno=EMFILE)
def test_a_semaphore_needs_a_descriptor_to_be_opened(fork, sem_name):
    """A process that has as many descriptors as RLIMIT_NOFILE allows opens no semaphore, and none is made."""

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
def test_the_umask_takes_bits_away(fork, sem_name):
    """The mode of a new semaphore is the one given less the umask."""

    def child() -> None:
        os.umask(0o027)
        sem_open(sem_name, O_CREAT | O_EXCL, 0o666, 0)

    fork(child).result()
    assert file_of(sem_name).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("mode", [0o400, 0o200], ids=["read", "write"])
@clause("sem_open.read-and-write-needed", "sem_open(3)", "DESCRIPTION", errno=EACCES)
def test_one_permission_is_not_enough(fork, sem_name, mode):
    """Opening a semaphore needs permission to read and to write; one of them alone is not enough."""

    def child() -> None:
        as_ordinary_user()
        may_make_semaphores()
        sem_open(sem_name, O_CREAT | O_EXCL, mode, 0)
        with fails_with(EACCES):
            sem_open(sem_name, 0)

    fork(child).result()


@clause("sem_open.owner-effective-ids", "sem_open(3)", "DESCRIPTION")
def test_the_maker_owns_it(fork, sem_name):
    """Owner and group of a new semaphore are the effective ones of its maker."""

    def child() -> None:
        become(OWNER, OTHER_GROUP)
        may_make_semaphores()
        sem_open(sem_name, O_CREAT | O_EXCL, 0o600, 0)

    fork(child).result()
    found = file_of(sem_name).stat()
    assert (found.st_uid, found.st_gid) == (OWNER, OTHER_GROUP)


@clause("sem_open.same-address-in-process", "sem_open(3)", "RETURN VALUE")
def test_a_process_has_a_semaphore_at_one_address(posix_sem, opened_sem):
    """Opening the same name again in one process gives the same address, and one close leaves the others theirs."""
    semaphore = posix_sem(1)
    first = sem_open(semaphore.name, 0)
    second = opened_sem(semaphore.name, 0)
    assert first == second
    sem_close(first)
    sem_post(second)
    assert semaphore.value == 2


@clause("sem_open.file-sem-dot-name", "sem_overview(7)", "Accessing named semaphores via the filesystem")
def test_a_semaphore_is_a_file(opened_sem, sem_name):
    """The semaphore /NAME is the file sem.NAME below /dev/shm while it has its name."""
    path = f"/dev/shm/sem{sem_name.replace('/', '.')}"
    assert not os.path.lexists(path)
    opened_sem(sem_name, O_CREAT | O_EXCL, 0o600, 0)
    assert os.path.isfile(path)
    sem_unlink(sem_name)
    assert not os.path.lexists(path)
