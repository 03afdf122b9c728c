"""Daemons whose search a test has made impossible are ended by the reaper: their records stay open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline

LOSES = {
    "no descriptors": "while True: HELD.append(os.open('/', os.O_RDONLY))",
    "no descriptors are allowed": "resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(7)[1]))",
    "another root": "os.chroot(empty)",
    "no subreaper": "ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)",
}
SOURCE = """
import contextlib, ctypes, os, resource, tempfile

HELD = []

def daemon():
    if os.fork() == 0:
        os.setsid()
        os.execvp("sleep", ["sleep", "NUMBER"])

def test_loses_sight(ipc, tmp_path):
    empty = str(tmp_path)
    START
    with contextlib.suppress(OSError):
        LOSES
"""
STARTS = {
    "spawn": "ipc.spawn(['sh', '-c', '(setsid sleep NUMBER &); exec sleep 1000']); "
    "ipc.wait_until(lambda: any('NUMBER' in line for line in os.popen('ps -eo args').read().split()), timeout=60)",
    "fork": "ipc.fork(daemon).result(timeout=60)",
}


def sleepers(number: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == b"sleep\0%d\0" % number:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("how", STARTS)
@pytest.mark.parametrize("loss", LOSES)
def test_reaper_ends_daemons_that_the_tear_down_cannot_find(pytester, loss, how):
    if loss == "another root" and os.geteuid() != 0:
        pytest.skip("chroot(2) needs CAP_SYS_CHROOT")
    number = 100_000 + os.getpid()  # no other worker has it
    source = SOURCE.replace("START", STARTS[how]).replace("LOSES", LOSES[loss]).replace("NUMBER", str(number))
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert Deadline(30).until(lambda: not sleepers(number)), result.stdout.str()
    if loss == "no subreaper":
        result.stdout.fnmatch_lines(["*the test has reset PR_SET_CHILD_SUBREAPER*"])
