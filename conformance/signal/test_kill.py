"""kill(2): whom a signal reaches, who may send it, and what is refused."""

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
    """Start children that sleep until a signal ends them, after another function if one is given: sleeper(prepare, *args)."""

    def start(prepare: Callable[..., Any] | None = None, *args: Any) -> Child[Any]:
        def life() -> None:
            if prepare is not None:
                prepare(*args)
            pause()

        actor = fork(life)
        actor.wait_blocked("pause")
        return actor

    return start


@clause("kill.positive-one-process", "kill(2)", "DESCRIPTION")
def test_a_positive_pid_is_one_process(sleeper):
    """A positive pid reaches the process with that id, and no other of its group."""
    leader, member = sleeper(), sleeper()
    os.setpgid(member.pid, leader.pid)
    kill(leader.pid, SIGTERM)
    assert leader.wait() == -SIGTERM
    member.signal(SIGUSR1)
    assert member.wait() == -SIGUSR1


@clause("kill.zero-own-group", "kill(2)", "DESCRIPTION")
def test_zero_is_the_caller_s_group(sleeper, fork, pipe):
    """The pid 0 reaches every process of the caller's group, the caller too, and nobody outside of it."""
    go = pipe()

    def life() -> None:
        go.read(1)
        assert os.getpgrp() == os.getpid(), "the group is pytest's"
        kill(0, SIGTERM)

    sender, member, outsider = fork(life), sleeper(), sleeper()
    sender.wait_blocked("read")
    os.setpgid(member.pid, sender.pid)
    go.write(b"!")
    assert [sender.wait(), member.wait()] == [-SIGTERM, -SIGTERM]
    outsider.signal(SIGUSR1)
    assert outsider.wait() == -SIGUSR1


@clause("kill.negative-group", "kill(2)", "DESCRIPTION")
def test_a_negative_pid_is_a_group(sleeper):
    """A pid below -1 reaches every process of the group with that number, and nobody outside of it."""
    leader, member, outsider = sleeper(), sleeper(), sleeper()
    os.setpgid(member.pid, leader.pid)
    kill(-leader.pid, SIGTERM)
    assert [leader.wait(), member.wait()] == [-SIGTERM, -SIGTERM]
    outsider.signal(SIGUSR1)
    assert outsider.wait() == -SIGUSR1


@clause("kill.minus-one-everybody-else", "kill(2)", "NOTES")
def test_minus_one_is_everybody_else(as_init):
    """The pid -1 reaches every process of the PID namespace but its first one and the caller."""

    def first() -> None:
        with ExitStack() as family:
            others = [family.enter_context(Child.start(pause)) for _ in range(3)]
            sender = family.enter_context(Child.start(kill, (-1, SIGTERM)))
            assert sender.wait() == 0, "the caller was reached"
            assert [other.wait() for other in others] == [-SIGTERM] * 3

    as_init(first)


@clause("signal.init-protected", "kill(2)", "NOTES")
@pytest.mark.parametrize("signo", [SIGTERM, SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_the_first_process_gets_only_what_it_catches(as_init, signals, signo):
    """From its own PID namespace the first process gets only signals that it has a handler for: others do nothing to it."""

    def first():
        with Child.start(kill, (1, signo)) as sender:
            sender.result()
        caught = signals.catch(SIGUSR1)
        with Child.start(kill, (1, SIGUSR1)) as sender:
            sender.result()
        return caught.count

    assert as_init(first) == 1


@clause("kill.sig0-probe", "kill(2)", "DESCRIPTION")
def test_signal_0_only_asks(sleeper):
    """Signal 0 is sent to nobody: it tells only whether a process or group is there to be signalled."""
    child = sleeper()
    kill(child.pid, 0)
    kill(-child.pid, 0)
    child.signal(SIGUSR1)
    assert child.wait() == -SIGUSR1
    for target in (child.pid, -child.pid):
        with fails_with(ESRCH):
            kill(target, 0)


@clause("kill.sig0-zombie", "kill(2)", "ERRORS", errno=ESRCH)
def test_a_zombie_is_there(fork):
    """A process that has ended and was not waited for can still be signalled, which does nothing; afterwards it is gone."""

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
def test_an_invalid_signal_is_refused(sleeper, signo):
    """A number that is no signal's is refused, and the process is left alone."""
    child = sleeper()
    with fails_with(EINVAL):
        kill(child.pid, signo)
    child.signal(SIGUSR1)
    assert child.wait() == -SIGUSR1


@clause("kill.no-process-esrch", "kill(2)", "ERRORS", errno=ESRCH)
def test_there_is_no_such_process():
    """A pid that no process has is refused."""
    with fails_with(ESRCH):
        kill(NOBODY, SIGTERM)


@clause("kill.no-group-esrch", "kill(2)", "ERRORS", errno=ESRCH)
def test_there_is_no_such_group(sleeper):
    """A number that no group has is refused, also if it is a process's that leads none."""
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
def test_who_may_send_a_signal(sleeper, fork, sender, target):
    """Without privilege a process may signal another if its real or effective user is the other's real or saved one."""
    other = sleeper(take_uids, *target)

    def life() -> None:
        take_uids(*sender)
        kill(other.pid, SIGTERM)

    fork(life).result()
    assert other.wait() == -SIGTERM


@clause("kill.no-permission-eperm", "kill(2)", "ERRORS", errno=EPERM)
@pytest.mark.usefixtures("other_users")
@pytest.mark.parametrize(("sender", "target"), MAY_NOT.values(), ids=MAY_NOT)
def test_who_may_not_send_a_signal(sleeper, fork, sender, target):
    """Without privilege, and with other real and effective users than the target's real and saved ones, nothing is sent."""
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
def test_sigcont_needs_only_the_same_session(sleeper, as_user):
    """SIGCONT may be sent to any process of the sender's session, whoever runs it, and to no stranger's outside of it."""

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
def test_a_group_of_which_some_may_be_signalled(sleeper, as_user):
    """Sending to a group succeeds if at least one of its processes may be signalled; only those are."""
    leader, member = sleeper(take_uids, STRANGER, STRANGER, STRANGER), sleeper(take_uids, OWNER, OWNER, OWNER)
    os.setpgid(member.pid, leader.pid)
    as_user(OWNER, GROUP, kill, -leader.pid, SIGTERM)
    assert member.wait() == -SIGTERM
    leader.signal(SIGUSR1)
    assert leader.wait() == -SIGUSR1


@clause("kill.group-no-permission-eperm", "kill(2)", "ERRORS", errno=EPERM)
@pytest.mark.usefixtures("other_users")
def test_a_group_of_which_none_may_be_signalled(sleeper, as_user):
    """Sending to a group fails if none of its processes may be signalled."""
    leader, member = (sleeper(take_uids, STRANGER, STRANGER, STRANGER) for _ in range(2))
    os.setpgid(member.pid, leader.pid)

    def send() -> None:
        with fails_with(EPERM):
            kill(-leader.pid, SIGTERM)

    as_user(OWNER, GROUP, send)
    leader.signal(SIGUSR1)
    assert leader.wait() == -SIGUSR1


@clause("kill.self-sync-delivery", "kill(2)", "NOTES")
def test_a_signal_to_oneself_comes_before_the_return(fork):
    """A signal that a thread sends to its own process, and does not block, is delivered before kill(2) returns."""

    def life() -> None:
        kill(os.getpid(), SIGTERM)
        os.write(1, b"returned")

    actor = fork(life)
    assert actor.wait() == -SIGTERM
    assert actor.output == ""


@clause("kill.self-blocked-pends", "kill(2)", "NOTES")
def test_a_blocked_signal_to_oneself_pends(fork, signals):
    """A signal that a process sends to itself and blocks pends when kill(2) has returned."""

    def life() -> frozenset[int]:
        signals.block(SIGTERM)
        kill(os.getpid(), SIGTERM)
        return sigpending()

    assert fork(life).result() == {SIGTERM}
