"""What the programs leak is named, and what is reserved is removed, whoever created it."""

from __future__ import annotations

import signal

import pytest

import pytest_ipc

CREATE = """
def test_ring(ipc):
    assert ipc.spawn([{programs!r} + "/ringctl", "create", hex({key}), "4", "8"]).wait() == 0
"""
REMOVE = """    assert ipc.spawn([{programs!r} + "/ringctl", "remove", hex({key})]).wait() == 0
"""


@pytest.fixture
def run(pytester, programs):
    """Run a test in a pytest of its own; it uses a key that is not reserved."""
    key = pytest_ipc.unused_key()

    def run(test: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test.format(programs=str(programs), key=key))
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    run.key = key
    return run


def test_leaked_segment_and_set_are_named_and_removed(ipc, run):
    result = run(CREATE, "--ipc-leaks=fix")
    result.assert_outcomes(passed=1)
    key = f"{run.key & 0xFFFF_FFFF:#x}"
    result.stdout.fnmatch_lines(
        [
            "*ipc leaks*",
            f"*System V segment * (key {key}*created by*ipcrm -m*this has been done",
            f"*System V semaphore set * (key {key}*ipcrm -s*this has been done",
        ]
    )
    for get in (ipc.sysv_shm, ipc.sysv_sem):
        with pytest.raises(FileNotFoundError):
            get(key=run.key, flags=0)


def test_leak_fails_the_test(ipc_namespace, run):
    """In the namespace of the run, with which the leak ends."""
    ipc_namespace()  # skips the test where it is not permitted
    result = run(CREATE, "--ipc-leaks=error", "--ipc-isolate")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the test leaks *System V segment*"])


def test_ring_that_is_removed_is_no_leak(run):
    result = run(CREATE + REMOVE, "--ipc-leaks=error")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line(f"*key {run.key & 0xFFFF_FFFF:#x}*")  # those of other processes may be listed


@pytest.mark.parametrize("program", ["produce", "consume"])
def test_reserved_ring_of_a_killed_program_is_removed(ipc, programs, program):
    with pytest_ipc.scope() as inner:
        key = inner.reserve_key()
        assert inner.spawn([programs / "ringctl", "create", hex(key), "1", "8"]).wait() == 0
        started = inner.spawn(
            [programs / program, hex(key), *(["1"] if program == "consume" else []), "pause"],
            stdin=b"x\n",
            may_fail=True,
        )
        started.wait_blocked("pause" if program == "produce" else "semop")
        started.signal(signal.SIGKILL)
        assert ipc.sysv_sem(key=key, flags=0).exists()
    for get in (ipc.sysv_shm, ipc.sysv_sem):
        with pytest.raises(FileNotFoundError):
            get(key=key, flags=0)


def test_no_process_outlives_the_test(programs):
    with pytest_ipc.scope() as inner:
        key = inner.reserve_key()
        assert inner.spawn([programs / "ringctl", "create", hex(key), "1", "8"]).wait() == 0
        consumer = pytest_ipc.observe(inner.spawn([programs / "consume", hex(key)]).pid)
        consumer.wait_blocked("semop")
    assert not consumer.alive
