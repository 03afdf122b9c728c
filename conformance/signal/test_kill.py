"""kill(2): targets of a signal, permission to send it, and errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from errno import EINVAL, EPERM, ESRCH
from signal import NSIG, SIGCONT, SIGKILL, SIGTERM, SIGUSR1
from typing import Any

import pytest

from pytest_ipc import Child, Fork, clause, fails_with
from pytest_ipc.kernel import kill, pause, sigpending

from ..credentials import GROUP, MEMBER, OWNER, STRANGER
from .plain_child import NOBODY, bare_child, leave_session, take_uids


@pytest.fixture
def sleeper(fork: Fork) -> Callable[..., Child[Any]]:
    """Start children that sleep until a signal terminates them, after an optional function: sleeper(prepare, *args)."""

    def start(prepare: Callable[..., Any] | None = None, *args: Any) -> Child[Any]:
        def life() -> None:
            if prepare is not None:
                prepare(*args)
            pause()

        child = fork(life)
        child.wait_blocked("pause")
        return child

    return start


@clause("kill.positive-one-process", "kill(2)", "DESCRIPTION")
def test_positive_pid_signals_one_process(sleeper):
    """kill() with a positive pid signals the process with that ID, and no other process of its group."""
    leader, member = sleeper(), sleeper()
    os.setpgid(member.pid, leader.pid)
    kill(leader.pid, SIGTERM)
    assert leader.wait() == -SIGTERM
    member.signal(SIGUSR1)
    assert member.wait() == -SIGUSR1


@clause("kill.zero-own-group", "kill(2)", "DESCRIPTION")
def test_pid_zero_signals_own_group(sleeper, fork, pipe):
    """kill() with pid 0 signals every process of the caller's process group, including the caller, and no other."""
    go = pipe()

    def life() -> None:
        go.read(1, timeout=None)
        assert os.getpgrp() == os.getpid(), "the child must lead its own process group"
        kill(0, SIGTERM)

    sender, member, outsider = fork(life), sleeper(), sleeper()
    sender.wait_blocked("read")
    os.setpgid(member.pid, sender.pid)
    go.write(b"!")
    assert [sender.wait(), member.wait()] == [-SIGTERM, -SIGTERM]
    outsider.signal(SIGUSR1)
    assert outsider.wait() == -SIGUSR1


@clause("kill.negative-group", "kill(2)", "DESCRIPTION")
def test_negative_pid_signals_group(sleeper):
    """kill() with a pid less than -1 signals every process of the process group -pid, and no other."""
    leader, member, outsider = sleeper(), sleeper(), sleeper()
    os.setpgid(member.pid, leader.pid)
    kill(-leader.pid, SIGTERM)
    assert [leader.wait(), member.wait()] == [-SIGTERM, -SIGTERM]
    outsider.signal(SIGUSR1)
    assert outsider.wait() == -SIGUSR1


@clause("kill.minus-one-everybody-else", "kill(2)", "NOTES")
def test_minus_one_signals_all_others(as_init):
    """kill() with pid -1 signals every process of the PID namespace except its first process and the caller."""

    def first() -> None:
        with ExitStack() as family:
            others = [family.enter_context(Child.start(pause)) for _ in range(3)]
            sender = family.enter_context(Child.start(kill, (-1, SIGTERM)))
            assert sender.wait() == 0, "the caller must not be signalled"
            assert [other.wait() for other in others] == [-SIGTERM] * 3

    as_init(first)


@clause("signal.init-protected", "kill(2)", "NOTES")
@pytest.mark.parametrize("signo", [SIGTERM, SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_init_gets_only_caught_signals(as_init, signals, signo):
    """The first process of a PID namespace receives from inside it only signals that it has a handler for; SIGKILL
    has no effect either.
    """

    def first():
        with Child.start(kill, (1, signo)) as sender:
            sender.result()
        caught = signals.catch(SIGUSR1)
        with Child.start(kill, (1, SIGUSR1)) as sender:
            sender.result()
        return caught.count

    assert as_init(first) == 1


@clause("kill.sig0-probe", "kill(2)", "DESCRIPTION")
def test_signal_0_only_checks(sleeper):
    """kill() with signal 0 sends nothing, but checks whether the process or process group exists."""
    child = sleeper()
    kill(child.pid, 0)
    kill(-child.pid, 0)
    child.signal(SIGUSR1)
    assert child.wait() == -SIGUSR1
    for target in (child.pid, -child.pid):
        with fails_with(ESRCH):
            kill(target, 0)


@clause("kill.sig0-zombie", "kill(2)", "ERRORS", errno=ESRCH)
def test_zombie_exists(fork):
    """kill() of a zombie succeeds and has no effect; after the wait it fails with ESRCH."""

    def life() -> None:
        pid = bare_child(lambda: 7)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        kill(pid, 0)
        kill(pid, SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        with fails_with(ESRCH):
            kill(pid, 0)

    fork(life).result()


@clause("kill.invalid-signal-einval", "kill(2)", "ERRORS", errno=EINVAL)
@pytest.mark.parametrize("signo", [-1, NSIG], ids=["negative", "above-the-last"])
def test_invalid_signal_fails(sleeper, signo):
    """kill() fails with EINVAL for an invalid signal number, and sends nothing."""
    child = sleeper()
    with fails_with(EINVAL):
        kill(child.pid, signo)
    child.signal(SIGUSR1)
    assert child.wait() == -SIGUSR1


@clause("kill.no-process-esrch", "kill(2)", "ERRORS", errno=ESRCH)
def test_nonexistent_process_fails():
    """kill() fails with ESRCH if no process has the given pid."""
    with fails_with(ESRCH):
        kill(NOBODY, SIGTERM)


@clause("kill.no-group-esrch", "kill(2)", "ERRORS", errno=ESRCH)
def test_nonexistent_group_fails(sleeper):
    """kill() fails with ESRCH if no process group has the given ID, also if a process that leads no group has it."""
    with fails_with(ESRCH):
        kill(-NOBODY, SIGTERM)
    leader, member = sleeper(), sleeper()
    os.setpgid(member.pid, leader.pid)
    with fails_with(ESRCH):
        kill(-member.pid, SIGTERM)
    member.signal(SIGUSR1)
    assert member.wait() == -SIGUSR1


A, B, C = OWNER, MEMBER, STRANGER
MAY = {
    "real-is-real": ((A, B, B), (A, C, C)),
    "real-is-saved": ((A, B, B), (C, C, A)),
    "effective-is-real": ((B, A, B), (A, C, C)),
    "effective-is-saved": ((B, A, B), (C, C, A)),
}
MAY_NOT = {
    "strangers": ((A, A, A), (C, C, C)),
    "the-target's-effective-does-not-count": ((A, A, A), (C, A, C)),
    "the-sender's-saved-does-not-count": ((B, B, A), (A, A, A)),
}


@clause("kill.permission-uid-rules", "kill(2)", "DESCRIPTION")
@pytest.mark.usefixtures("other_users")
@pytest.mark.parametrize(("sender", "target"), MAY.values(), ids=MAY)
def test_matching_uids_permit_kill(sleeper, fork, sender, target):
    """An unprivileged process may signal another if its real or effective UID equals the real or saved UID of the
    target.
    """
    other = sleeper(take_uids, *target)

    def life() -> None:
        take_uids(*sender)
        kill(other.pid, SIGTERM)

    fork(life).result()
    assert other.wait() == -SIGTERM


@clause("kill.no-permission-eperm", "kill(2)", "ERRORS", errno=EPERM)
@pytest.mark.usefixtures("other_users")
@pytest.mark.parametrize(("sender", "target"), MAY_NOT.values(), ids=MAY_NOT)
def test_other_uids_do_not_permit_kill(sleeper, fork, sender, target):
    """kill() by an unprivileged process fails with EPERM if neither its real nor effective UID equals the target's
    real or saved UID.
    """
    other = sleeper(take_uids, *target)

    def life() -> None:
        take_uids(*sender)
        for signo in (0, SIGTERM, SIGKILL):
            with fails_with(EPERM):
                kill(other.pid, signo)

    fork(life).result()
    other.signal(SIGUSR1)
    assert other.wait() == -SIGUSR1


@clause("kill.sigcont-same-session", "kill(2)", "DESCRIPTION")
@pytest.mark.usefixtures("other_users")
def test_sigcont_needs_only_same_session(sleeper, as_user):
    """SIGCONT may be sent to any process of the sender's session, whatever its UIDs, but not to other users'
    processes outside of it.
    """

    inside = sleeper(take_uids, STRANGER, STRANGER, STRANGER)

    def leave_and_become() -> None:
        leave_session(inside)
        take_uids(STRANGER, STRANGER, STRANGER)

    outside = sleeper(leave_and_become)

    def send() -> None:
        kill(inside.pid, SIGCONT)
        with fails_with(EPERM):
            kill(inside.pid, SIGTERM)
        with fails_with(EPERM):
            kill(outside.pid, SIGCONT)

    as_user(OWNER, GROUP, send)


@clause("kill.group-partial-permission", "kill(2)", "RETURN VALUE")
@pytest.mark.usefixtures("other_users")
def test_group_with_partial_permission(sleeper, as_user):
    """kill() of a process group succeeds if the caller may signal at least one of its processes, and signals only
    those.
    """
    leader, member = sleeper(take_uids, STRANGER, STRANGER, STRANGER), sleeper(take_uids, OWNER, OWNER, OWNER)
    os.setpgid(member.pid, leader.pid)
    as_user(OWNER, GROUP, kill, -leader.pid, SIGTERM)
    assert member.wait() == -SIGTERM
    leader.signal(SIGUSR1)
    assert leader.wait() == -SIGUSR1


@clause("kill.group-no-permission-eperm", "kill(2)", "ERRORS", errno=EPERM)
@pytest.mark.usefixtures("other_users")
def test_group_without_permission_fails(sleeper, as_user):
    """kill() of a process group fails with EPERM if the caller may signal none of its processes."""
    leader, member = (sleeper(take_uids, STRANGER, STRANGER, STRANGER) for _ in range(2))
    os.setpgid(member.pid, leader.pid)

    def send() -> None:
        with fails_with(EPERM):
            kill(-leader.pid, SIGTERM)

    as_user(OWNER, GROUP, send)
    leader.signal(SIGUSR1)
    assert leader.wait() == -SIGUSR1


@clause("kill.self-sync-delivery", "kill(2)", "NOTES")
def test_signal_to_self_is_delivered_before_return(fork):
    """A signal that a process sends to itself and does not block is delivered before kill() returns."""

    def life() -> None:
        kill(os.getpid(), SIGTERM)
        os.write(1, b"returned")

    child = fork(life)
    assert child.wait() == -SIGTERM
    assert child.output == ""


@clause("kill.self-blocked-pends", "kill(2)", "NOTES")
def test_blocked_signal_to_self_pends(fork, signals):
    """A signal that a process sends to itself and blocks is pending when kill() returns."""

    def life() -> frozenset[int]:
        signals.block(SIGTERM)
        kill(os.getpid(), SIGTERM)
        return sigpending()

    assert fork(life).result() == {SIGTERM}
