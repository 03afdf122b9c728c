"""Faults below libc: the clauses of a call that the kernel refuses detect it, whichever way the call is made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .interposer import Verdicts, wordless

# The errnos of the kernel, and the clauses that must deviate then, also of calls without a libc function.
KERNEL_FAULTS = {
    "tgkill=EPERM": ["siginfo.tgkill-si_tkill"],
    "futex=EINVAL": ["futex.wake-nobody", "futex.unlock_pi-eperm", "futex.cmp_requeue-other-value-eagain"],
    "flock=EINTR": ["flock.sh-ex-un-basic", "flock.ebadf-einval", "flock.convert"],
    "flock=EWOULDBLOCK": ["flock.sh-ex-un-basic", "flock.any-open-mode"],
    "msgsnd=EAGAIN": ["msgsnd.zero-length", "msgsnd.enqueue-updates", "msgrcv.type0-fifo"],
    "msgsnd=EACCES": ["msgsnd.bad-id-einval", "msgsnd.text-any-bytes"],
    "msgrcv=ENOMSG": ["msgrcv.type-positive", "msgrcv.bad-id-einval", "msgrcv.returns-size"],
    "semop=EAGAIN,semtimedop=EAGAIN": ["semop.add", "semop.raw-call", "semop.zero-immediate", "semop.efbig"],
    "semtimedop=EINTR": ["semtimedop.timeout-eagain", "semtimedop.null-is-semop"],
    "pidfd_open=EINVAL": ["pidfd_open.readable-at-the-end", "pidfd_open.esrch", "pidfd_open.cloexec"],
    "pidfd_send_signal=EPERM": ["pidfd_send_signal.as-kill", "pidfd_send_signal.not-a-pidfd-ebadf"],
    "rt_sigtimedwait=EINVAL": [
        "sigtimedwait.zero-polls",
        "sigtimedwait.timeout-eagain",
        "siginfo.sigqueue-si_queue-value",
    ],
}
# Missing calls: the verdict is `absent`, or `untested` where the call is only a means.
MISSING = {
    "flock=ENOSYS": ["flock.sh-ex-un-basic", "flock.convert"],
    "msgsnd=ENOSYS": ["msgsnd.zero-length", "msgsnd.bad-id-einval"],
    "semop=ENOSYS,semtimedop=ENOSYS": ["semop.add", "semop.erange"],
}
# Objects that cannot be created, whose behaviour is untested.
LACKING = {
    "socket(10)=EAFNOSUPPORT": ["tcp.stream-bytes", "udp.boundaries", "ipv6.v6only"],
    "socket(2)=EAFNOSUPPORT": ["tcp.half-close", "udp.edestaddrreq"],
}


@pytest.fixture
def verdicts_below(tmp_path: Path) -> Callable[[str, list[str]], Verdicts]:
    """Return a function that checks clauses on a kernel that refuses calls, and returns the verdict on each."""

    def check(faults: str, clauses: list[str]) -> Verdicts:
        report = tmp_path / "report.json"
        suite = [sys.executable, "-m", "pytest_ipc", "check", "--report", str(report), *clauses]
        command = [sys.executable, "-m", "tests.fault_injection.seccomp", faults, *suite]
        run = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100, check=False
        )
        if "no number is known" in run.stderr or "PR_SET_SECCOMP" in run.stderr:
            pytest.skip(run.stderr.splitlines()[-1])
        assert report.exists(), run.stdout + run.stderr
        return {found["id"]: found for found in json.loads(report.read_text())["clauses"]}

    return check


@pytest.mark.parametrize("faults", KERNEL_FAULTS)
def test_a_call_that_the_kernel_refuses_is_a_deviation(verdicts_below, faults):
    found = verdicts_below(faults, KERNEL_FAULTS[faults])
    assert {id: found[id]["verdict"] for id in KERNEL_FAULTS[faults]} == dict.fromkeys(
        KERNEL_FAULTS[faults], "deviates"
    )
    assert wordless(found) == {}


@pytest.mark.parametrize("faults", MISSING)
def test_a_call_that_the_kernel_does_not_have_is_absent(verdicts_below, faults):
    found = verdicts_below(faults, MISSING[faults])
    assert {id: found[id]["verdict"] for id in MISSING[faults]} == dict.fromkeys(MISSING[faults], "absent")


@pytest.mark.parametrize("faults", LACKING)
def test_unavailable_means_are_untested(verdicts_below, faults):
    found = verdicts_below(faults, LACKING[faults])
    assert {id: found[id]["verdict"] for id in LACKING[faults]} == dict.fromkeys(LACKING[faults], "untested")
