"""posix_spawn(3): the file that the child executes, attributes, and file actions."""

from __future__ import annotations

import os
import shutil
import signal
from errno import EBADF, ENOENT
from fcntl import F_DUPFD_CLOEXEC, fcntl
from signal import SIGTERM, SIGUSR1, SIGUSR2
from typing import Any

import pytest

from pytest_ipc import Need, clause, disputed, untested
from pytest_ipc.kernel import process_status

from ..conftest import TO_START
from ..credentials import GROUP, OTHER_GROUP, OWNER, STRANGER
from .conftest import SHELL

FORK, HOUSEKEEPING, EXEC = "fork() step", "pre-exec() step: housekeeping", "exec() step"

CLOSE, DUP2, OPEN = os.POSIX_SPAWN_CLOSE, os.POSIX_SPAWN_DUP2, os.POSIX_SPAWN_OPEN


def ended(pid: int) -> int:
    """Wait for a child; return its exit status, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(script: str, *args: str, env: dict[str, str] | None = None, **how: Any) -> int:
    """Run a shell script with arguments by posix_spawn(3); return how it ended."""
    return ended(os.posix_spawn(SHELL, ["sh", "-c", script, "sh", *args], env or {}, **how))


def printed(script: str, *args: str, actions: Any = (), **how: Any) -> str:
    """Run a script as run() does, assert that it exits with status 0, and return its output."""
    read_fd, write_fd = os.pipe()
    status = run(script, *args, file_actions=[*actions, (DUP2, write_fd, 1)], **how)
    os.close(write_fd)
    with open(read_fd) as stream:
        text = stream.read().strip()
    assert status == 0, text
    return text


class Waiting:
    """A spawned program that waits. It is not a shell, as some shells drop effective IDs that differ from the real
    ones."""

    def __init__(self, **how: Any) -> None:
        program = shutil.which("cat")
        if program is None:
            untested(Need.PROGRAMS, "needs the program cat")
        read_fd, self._go = os.pipe()
        self.pid = os.posix_spawn(program, ["cat"], {}, file_actions=[(DUP2, read_fd, 0)], **how)
        os.close(read_fd)

    def end(self) -> None:
        """Let the program end."""
        os.close(self._go)
        assert ended(self.pid) == 0


@clause("spawn.child", "posix_spawn(3)", FORK)
def test_child_executes_file(fork):
    """posix_spawn() creates a child that executes the file with the arguments, and returns its process ID."""

    def life() -> None:
        text = printed('echo $$ $PPID; for word; do echo "<$word>"; done', "a b", "", "*")
        first, *words = text.splitlines()
        pid, parent = map(int, first.split())
        assert (pid != os.getpid(), parent) == (True, os.getpid())
        assert words == ["<a b>", "<>", "<*>"]
        child = Waiting()
        assert os.getpgid(child.pid) == os.getpgid(0)
        child.end()

    fork(life).result(timeout=TO_START)


@clause("spawn.environment", "posix_spawn(3)", EXEC)
def test_environment_is_envp(fork):
    """The environment of the child is envp and includes nothing of the caller's."""

    def life() -> None:
        os.environ["FROM_THE_CALLER"] = "1"
        env = {"GIVEN": "a b", "EMPTY": ""}
        assert printed('echo "$GIVEN|$EMPTY|${FROM_THE_CALLER-none}"', env=env) == "a b||none"

    fork(life).result(timeout=TO_START)


@clause("spawn.relative-path", "posix_spawn(3)", "DESCRIPTION")
def test_posix_spawn_takes_path_and_posix_spawnp_searches_it(fork, tmp_path):
    """posix_spawn() takes a pathname relative to the working directory; posix_spawnp() searches a file name in PATH."""
    program = tmp_path / "program-of-this-test"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)

    def life() -> None:
        os.chdir(tmp_path)
        assert ended(os.posix_spawn(program.name, [program.name], {})) == 7
        os.chdir("/")
        os.environ["PATH"] = str(tmp_path)
        assert ended(os.posix_spawnp(program.name, [program.name], {})) == 7

    fork(life).result(timeout=TO_START)


LATER = "the error is returned, since glibc 2.24 and in musl"


def left_with_127(path: str, error: int, **how: Any) -> None:
    """Assert that posix_spawn(3) succeeds and its child exits with 127; disputed if it fails with *error* instead."""
    try:
        pid = os.posix_spawn(path, [path], {}, **how)
    except OSError as failure:
        if failure.errno != error:
            raise
        disputed("the call succeeds and the child exits with 127", "returns the error and creates no child")
    assert ended(pid) == 127


@clause("spawn.exec-fails-127", "posix_spawn(3)", "RETURN VALUE", disputed=LATER)
def test_exec_failure_exits_with_127(fork, tmp_path):
    """If the child cannot execute the file, it exits with status 127."""
    fork(left_with_127, str(tmp_path / "missing"), ENOENT).result(timeout=TO_START)


@clause("spawn.action-fails-127", "posix_spawn(3)", HOUSEKEEPING, disputed=LATER)
def test_file_action_failure_exits_with_127(fork):
    """If a file action fails in the child, it exits with status 127."""
    fork(left_with_127, SHELL, EBADF, file_actions=[(DUP2, 999, 1)]).result(timeout=TO_START)


def outlives(signo: int, **how: Any) -> bool:
    """Return whether a spawned shell survives a signal that it sends itself, as it blocks or ignores it."""
    status = run(f"kill -{signo} $$; exit 5", **how)
    assert status in (5, -signo)
    return status == 5


@clause("spawn.setsigmask", "posix_spawn(3)", HOUSEKEEPING)
def test_setsigmask_sets_mask(fork):
    """With POSIX_SPAWN_SETSIGMASK the signal mask of the child is the given one."""

    def life() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        assert [outlives(signo, setsigmask=[SIGUSR2]) for signo in (SIGUSR1, SIGUSR2)] == [False, True]
        assert [outlives(signo, setsigmask=[]) for signo in (SIGUSR1, SIGUSR2)] == [False, False]

    fork(life).result(timeout=TO_START)


@clause("spawn.inherits-mask", "posix_spawn(3)", HOUSEKEEPING)
def test_mask_is_inherited(fork):
    """Without POSIX_SPAWN_SETSIGMASK the child inherits the caller's signal mask."""

    def life() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGUSR1})
        assert [outlives(signo) for signo in (SIGUSR1, SIGUSR2)] == [True, False]

    fork(life).result(timeout=TO_START)


@clause("spawn.setsigdef", "posix_spawn(3)", HOUSEKEEPING)
def test_setsigdef_resets_dispositions(fork):
    """With POSIX_SPAWN_SETSIGDEF the given signals have the default disposition in the child, even if the caller
    ignores them.
    """

    def life() -> None:
        for signo in (SIGUSR1, SIGUSR2):
            signal.signal(signo, signal.SIG_IGN)
        assert [outlives(signo, setsigdef=[SIGUSR1]) for signo in (SIGUSR1, SIGUSR2)] == [False, True]

    fork(life).result(timeout=TO_START)


@clause("spawn.dispositions-as-execve", "posix_spawn(3)", HOUSEKEEPING)
def test_other_dispositions_are_as_after_execve(fork):
    """In the child other dispositions are as after execve(): ignored signals stay ignored, caught ones are reset to
    the default.
    """

    def life() -> None:
        signal.signal(SIGUSR1, signal.SIG_IGN)
        signal.signal(SIGUSR2, lambda *_: None)
        assert [outlives(signo) for signo in (SIGUSR1, SIGUSR2, SIGTERM)] == [True, False, False]

    fork(life).result(timeout=TO_START)


@clause("spawn.setpgroup-zero", "posix_spawn(3)", HOUSEKEEPING)
def test_setpgroup_zero_creates_group(fork):
    """With POSIX_SPAWN_SETPGROUP and 0 the child leads a new process group."""

    def life() -> None:
        child = Waiting(setpgroup=0)
        assert os.getpgid(child.pid) == child.pid
        child.end()

    fork(life).result(timeout=TO_START)


@clause("spawn.setpgroup", "posix_spawn(3)", HOUSEKEEPING)
def test_setpgroup_joins_group(fork):
    """With POSIX_SPAWN_SETPGROUP the child joins the given process group, without it that of the caller."""

    def life() -> None:
        leader = Waiting(setpgroup=0)
        member, plain = Waiting(setpgroup=leader.pid), Waiting()
        assert os.getpgid(member.pid) == leader.pid
        assert os.getpgid(plain.pid) == os.getpgid(0)
        for child in (leader, member, plain):
            child.end()

    fork(life).result(timeout=TO_START)


@clause("spawn.setsid", "posix_spawn(3)", HOUSEKEEPING, since="glibc 2.26", level="posix")
def test_setsid_creates_session(fork):
    """With POSIX_SPAWN_SETSID the child leads a new session and a new process group."""

    def life() -> None:
        child = Waiting(setsid=True)
        assert (os.getsid(child.pid), os.getpgid(child.pid)) == (child.pid, child.pid)
        child.end()

    fork(life).result(timeout=TO_START)


def ids_of(pid: int) -> tuple[list[int], list[int]]:
    """Return the real, effective and saved user and group IDs of a process."""
    status = process_status(pid)
    if "Uid" not in status:
        untested(Need.PROC_FILES, "needs /proc/PID/status with the ids")
    return [int(word) for word in status["Uid"].split()[:3]], [int(word) for word in status["Gid"].split()[:3]]


@clause("spawn.resetids", "posix_spawn(3)", HOUSEKEEPING)
@pytest.mark.usefixtures("other_users")
@pytest.mark.parametrize("resets", [True, False], ids=["reset", "kept"])
def test_resetids_resets_effective_ids(fork, resets):
    """With POSIX_SPAWN_RESETIDS the effective IDs of the child are the caller's real IDs, without it the caller's
    effective IDs.
    """

    def life() -> None:
        os.setgroups([])
        os.setresgid(GROUP, OTHER_GROUP, GROUP)
        os.setresuid(OWNER, STRANGER, OWNER)
        child = Waiting(resetids=resets)
        uids, gids = ids_of(child.pid)
        assert (uids[1], gids[1]) == ((OWNER, GROUP) if resets else (STRANGER, OTHER_GROUP))
        child.end()

    fork(life).result(timeout=TO_START)


@clause("spawn.setscheduler", "posix_spawn(3)", HOUSEKEEPING)
def test_setscheduler_sets_policy(fork):
    """With POSIX_SPAWN_SETSCHEDULER the child has the given scheduling policy, without it that of the caller."""

    def life() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        except OSError as error:
            untested(Need.NEWER_KERNEL, f"needs a kernel with SCHED_BATCH: {error.strerror}")
        plain, other = Waiting(), Waiting(scheduler=(os.SCHED_OTHER, os.sched_param(0)))
        assert os.sched_getscheduler(plain.pid) == os.SCHED_BATCH
        assert os.sched_getscheduler(other.pid) == os.SCHED_OTHER
        plain.end()
        other.end()

    fork(life).result(timeout=TO_START)


@clause("spawn.keeps-descriptors", "posix_spawn(3)", HOUSEKEEPING)
def test_descriptors_stay_open(fork):
    """The caller's open descriptors are open in the child, except those with FD_CLOEXEC."""

    def life() -> None:
        read_fd, write_fd = os.pipe()
        fd = inherited(write_fd)
        assert run(f"echo kept >&{fd}") == 0
        assert os.read(read_fd, 100) == b"kept\n"
        os.set_inheritable(fd, False)
        assert run(f"{{ echo lost >&{fd}; }} 2>/dev/null") != 0

    fork(life).result(timeout=TO_START)


def inherited(fd: int) -> int:
    """Return an inheritable duplicate with a single-digit number, which a shell can name."""
    number = next((number for number in range(3, 10) if not is_open(number)), 9)  # in a child, which needs none of them
    try:
        return os.dup2(fd, number)
    except OSError:
        untested(Need.PROCESS_LIMITS, "RLIMIT_NOFILE leaves no descriptor below 10")


def is_open(fd: int) -> bool:
    """Return whether the descriptor is open."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@clause("spawn.open", "posix_spawn(3)", HOUSEKEEPING)
def test_open_action_opens_file(fork, tmp_path):
    """An open file action opens the file at the given descriptor with the given flags and mode, and replaces an open
    descriptor.
    """
    path = tmp_path / "file"

    def life() -> None:
        os.umask(0)
        action = (OPEN, 1, str(path), os.O_WRONLY | os.O_CREAT, 0o640)
        assert run("echo text", file_actions=[action]) == 0
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("text\n", 0o640)

    fork(life).result(timeout=TO_START)


@clause("spawn.close", "posix_spawn(3)", HOUSEKEEPING)
def test_close_action_closes_descriptor(fork):
    """A close file action closes the descriptor in the child and not in the caller."""

    def life() -> None:
        read_fd, write_fd = os.pipe()
        fd = inherited(write_fd)
        assert run(f"{{ echo lost >&{fd}; }} 2>/dev/null", file_actions=[(CLOSE, fd)]) != 0
        os.write(fd, b"mine")
        assert os.read(read_fd, 100) == b"mine"

    fork(life).result(timeout=TO_START)


@clause("spawn.dup2", "posix_spawn(3)", HOUSEKEEPING)
def test_dup2_action_duplicates_descriptor(fork):
    """A dup2 file action is performed before descriptors with FD_CLOEXEC are closed: the duplicate is open in the
    child.
    """

    def life() -> None:
        read_fd, write_fd = os.pipe()
        assert run("echo text >&9", file_actions=[(DUP2, write_fd, 9)]) == 0
        os.close(write_fd)
        assert [os.read(read_fd, 100), os.read(read_fd, 100)] == [b"text\n", b""]

    fork(life).result(timeout=TO_START)


def high_pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are not single-digit numbers."""
    ends = os.pipe()
    high = fcntl(ends[0], F_DUPFD_CLOEXEC, 20), fcntl(ends[1], F_DUPFD_CLOEXEC, 20)
    for fd in ends:
        os.close(fd)
    return high


@clause("spawn.actions-in-order", "posix_spawn(3)", HOUSEKEEPING)
def test_file_actions_are_performed_in_order(fork):
    """File actions are performed in the order in which they were added."""

    def life() -> None:
        (first_r, first_w), (second_r, second_w) = high_pipe(), high_pipe()
        exchange = [(DUP2, first_w, 9), (DUP2, second_w, first_w), (DUP2, 9, second_w), (CLOSE, 9)]
        both = [(DUP2, first_w, 7), (DUP2, second_w, 8)]
        assert run("echo 7 >&7; echo 8 >&8", file_actions=[*exchange, *both]) == 0
        assert [os.read(first_r, 100), os.read(second_r, 100)] == [b"8\n", b"7\n"]

    fork(life).result(timeout=TO_START)


@clause("spawn.attributes-before-actions", "posix_spawn(3)", HOUSEKEEPING)
@pytest.mark.usefixtures("other_users")
def test_attributes_are_set_before_file_actions(fork, tmp_path, monkeypatch):
    """Attributes are set before file actions are performed: POSIX_SPAWN_RESETIDS affects the owner of a file that an
    open action creates.
    """
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)  # other users cannot reach it by its absolute path

    def life() -> None:
        os.setgroups([])
        os.setresgid(GROUP, OTHER_GROUP, GROUP)
        os.setresuid(OWNER, STRANGER, OWNER)
        action = (OPEN, 1, "file", os.O_WRONLY | os.O_CREAT, 0o600)
        assert run("echo text", resetids=True, file_actions=[action]) == 0
        made = os.stat("file")
        assert (made.st_uid, made.st_gid) == (OWNER, GROUP)

    fork(life).result(timeout=TO_START)
