"""A limit explains an error only if its numbers match."""

from __future__ import annotations

import os
import resource
from errno import EAGAIN, EFBIG, EINVAL, EMFILE, ENOMEM, ENOSPC, EPERM

import pytest

from pytest_ipc import Deviation, fails_with
from pytest_ipc.kernel import open_descriptors, shmget
from pytest_ipc.verdict.judge.limits_reached import limit_in_the_way, small_pipes
from pytest_ipc.verdict.judge.outcome import _verdict


def under(fork, limit: str, value: int, error: OSError) -> str:
    """Return the explanation of *error* in a process with that limit."""

    def life() -> str:
        number = {"SIGPENDING": 11, "MSGQUEUE": 12}.get(limit) or getattr(resource, f"RLIMIT_{limit}")
        resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
        return limit_in_the_way(error)

    said: str = fork(life).result()
    return said


@pytest.mark.parametrize(
    ("limit", "value", "errno", "text", "said"),
    [
        ("NOFILE", 64, EMFILE, "Too many open files", "RLIMIT_NOFILE is 64, and a clause opens up to 300"),
        ("MEMLOCK", 0, ENOMEM, "mlock: Cannot allocate memory", "RLIMIT_MEMLOCK is 0, less than its default of 65,536"),
        ("MEMLOCK", 0, EPERM, "mlock: Operation not permitted", "RLIMIT_MEMLOCK is 0, less than its default of 65,536"),
        (
            "MSGQUEUE",
            99,
            EMFILE,
            "mq_open: Too many open files",
            "RLIMIT_MSGQUEUE is 99, less than its default of 819,200",
        ),
        ("SIGPENDING", 8, EAGAIN, "sigqueue: Resource temporarily unavailable", "RLIMIT_SIGPENDING is 8, and "),
        ("NPROC", 5, EAGAIN, "Resource temporarily unavailable", "RLIMIT_NPROC is 5, and a clause starts up to 64"),
        (
            "FSIZE",
            4096,
            EFBIG,
            "ftruncate: File too large",
            "RLIMIT_FSIZE is 4,096, and a clause writes up to 67,108,864",
        ),
    ],
)
def test_small_limit_explains_its_error(fork, limit, value, errno, text, said):
    assert under(fork, limit, value, OSError(errno, text)).startswith(said)
    assert under(fork, limit, value, OSError(EINVAL, text)) == ""
    assert limit_in_the_way(OSError(errno, text)) == "", "the limit of this process is not small"


def test_limit_does_not_explain_another_call(fork):
    assert under(fork, "MEMLOCK", 0, OSError(ENOMEM, "shmget: Cannot allocate memory")) == ""
    assert under(fork, "MSGQUEUE", 0, OSError(EMFILE, "dup: Too many open files")) == ""


def test_exhausted_limit_explains_its_error(fork):
    def life() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = [os.dup(0) for _ in range(390 - len(open_descriptors()))]
        return limit_in_the_way(OSError(EMFILE, "Too many open files")) + str(len(taken) > 300)

    said = fork(life).result()
    assert said.startswith("RLIMIT_NOFILE is 400, and 39")
    assert said.endswith("True")


def test_clause_prevented_by_a_limit_is_untested(ipc_namespace):
    def life() -> tuple[str, str]:
        try:
            with fails_with(EINVAL):
                shmget(0, 1, 0o600)
        except Deviation as error:
            verdict = _verdict(error, "call", "")
            return verdict.verdict, verdict.reason
        return "holds", ""

    verdict, reason = ipc_namespace(shmmni=0).fork(life).result()
    assert (verdict, reason) == ("untested", "kernel.shmmni is 0, less than its default of 4,096")
    verdict, reason = ipc_namespace().fork(life).result()
    assert verdict == "deviates"
    assert reason.startswith("expected EINVAL, shmget succeeded with")


def test_unrelated_deviation_is_not_explained_by_a_limit(ipc_namespace):
    error = OSError(ENOSPC, "shmget: No space left on device")
    assert ipc_namespace(msgmni=0).fork(limit_in_the_way, error).result() == ""


def test_pipe_of_sixteen_pages_is_not_small():
    assert small_pipes() == ""
