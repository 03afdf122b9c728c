"""Namespaces, capabilities and limits with util-linux, an independent implementation in C, in both directions."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from pytest_ipc import trial, unused_key
from pytest_ipc.kernel import CAPABILITIES, CLONE_NEWIPC, IPC_CREAT, capget, getrlimit, setns, shmget, unshare


@pytest.fixture(scope="module", autouse=True)
def may_move() -> None:
    """Skip without the programs of util-linux, which have the permissions of this process."""
    if (refusal := trial(lambda: unshare(CLONE_NEWIPC))) is not None:
        pytest.skip(f"needs CAP_SYS_ADMIN: {refusal}")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} of util-linux")
    return found


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_nsenter_finds_objects_of_a_child(ipc_namespace):
    nsenter, ipcs, key = program("nsenter"), program("ipcs"), unused_key()
    namespace = ipc_namespace()

    def life():
        shmget(key, 4321, IPC_CREAT | 0o600)
        signal.pause()

    child = namespace.fork(life)
    child.wait_blocked("pause")
    seen = run(nsenter, f"--ipc=/proc/{child.pid}/ns/ipc", ipcs, "-m")
    assert re.findall(r"^0x[0-9a-f]+ .*", seen, re.MULTILINE)[0].split()[::4][:2] == [f"{key:#010x}", "4321"]
    assert f"{key:#010x}" not in run(ipcs, "-m")


def test_namespace_of_unshare_is_entered(fork):
    unshare_program, key = program("unshare"), unused_key()
    source = (
        "import signal, sys; from pytest_ipc.kernel import IPC_CREAT, shmget\n"
        "shmget(int(sys.argv[1]), 99, IPC_CREAT | 0o600); signal.pause()"
    )
    arguments = [unshare_program, "--ipc", sys.executable, "-c", source, str(key)]
    child = fork(os.execv, unshare_program, arguments)
    child.wait_blocked("pause")

    def look():
        there = os.open(f"/proc/{child.pid}/ns/ipc", os.O_RDONLY)
        setns(there, CLONE_NEWIPC)
        return shmget(key, 0, 0) >= 0

    assert fork(look).result()


def test_namespace_name_equals_that_of_lsns(ipc_namespace):
    lsns = program("lsns")
    child = ipc_namespace().fork(signal.pause)
    child.wait_blocked("pause")
    name = os.readlink(f"/proc/{child.pid}/ns/ipc")
    reported = run(lsns, "--type", "ipc", "--noheadings", "--output", "NS,PID")
    assert [name.strip("ipc:[]"), str(child.pid)] in [line.split() for line in reported.splitlines()]


def test_prlimit_shows_the_same_limits():
    prlimit = program("prlimit")
    reported = run(prlimit, "--nofile", "--noheadings", "--raw", "--output", "SOFT,HARD", "--pid", str(os.getpid()))
    assert reported.split() == [str(value) for value in getrlimit(7)]


def test_setpriv_shows_the_same_capabilities():
    setpriv = program("setpriv")
    reported = run(setpriv, "--dump")
    (line,) = [line for line in reported.splitlines() if line.startswith("Capability bounding set:")]
    named = set(line.partition(":")[2].strip().split(","))
    if named == {"[none]"}:
        pytest.skip("setpriv shows no capability")
    held = capget().effective
    ours = {name.lower() for bit, name in enumerate(CAPABILITIES) if held >> bit & 1}
    assert ours <= named
