"""`pytest-ipc status --all` and `pytest-ipc sweep --orphans`, in an IPC namespace and a /dev/shm of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

Done = subprocess.CompletedProcess[str]

# Mounts, leaves objects of a process that has ended, then runs the commands that it is given, one after the other.
INSIDE = """
import json, os, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "none", "/dev/shm"], check=True)
subprocess.run(["mount", "-t", "mqueue", "none", "/dev/mqueue"], check=True)
from pytest_ipc.kernel import IPC_CREAT, IPC_PRIVATE, mq_open, shmget
pid = os.fork()
if pid == 0:
    os.setuid(int(sys.argv[2]))
    shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0o600)
    os.close(os.open("/dev/shm/leaked", os.O_CREAT, 0o600))
    mq_open("/leaked", os.O_CREAT | os.O_RDWR, 0o600)
    os._exit(0)
os.waitpid(pid, 0)
for command in json.loads(sys.argv[1]):
    done = subprocess.run(
        [*sys.argv[3:], sys.executable, "-m", "pytest_ipc", *command],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )
    print(json.dumps([done.returncode, done.stdout, done.stderr]))
"""
UNSHARE = ["unshare", "--ipc", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture
def inside(tmp_path) -> Callable[..., list[tuple[int, str, str]]]:
    """Run commands one after the other: inside([…], […]) -> (status, output, errors) of each.

    The objects are those of *user*; the words *before* go before each command.
    """
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)

    def run(*commands: list[str], user: int = 0, before: Sequence[str] = ()) -> list[tuple[int, str, str]]:
        done = subprocess.run(
            [*UNSHARE, "true"] if os.geteuid() == 0 else [*UNSHARE, "--user", "--map-root-user", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"needs namespaces of its own: {done.stderr.strip()}")
        options = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        done = subprocess.run(
            [*UNSHARE, *options, sys.executable, "-c", INSIDE, json.dumps(commands), str(user), *before],
            env=os.environ | {"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    return run


def test_orphans_are_listed_and_fail_a_check_until_they_are_removed(inside):
    listed, dry, nobody, removed, again = inside(
        ["status", "--all", "--check", "--older-than", "0s"],
        ["sweep", "--orphans", "--older-than", "0s", "--dry-run"],
        ["sweep", "--orphans", "--older-than", "0s"],
        ["sweep", "--orphans", "--older-than", "0s", "--yes"],
        ["status", "--all", "--check"],
    )
    assert listed[0] == 1
    assert listed[1].count("orphan ") == 3
    assert "3 objects, 3 orphans" in listed[1]
    assert (dry[0], dry[1].count("would remove ")) == (0, 3)
    assert (nobody[0], nobody[2]) == (
        1,
        "pytest-ipc: the standard input must be a terminal to confirm; --yes removes them\n",
    )
    assert (removed[0], removed[1].count("removed ")) == (0, 3)
    assert (again[0], again[1]) == (0, "0 objects, 0 orphans\n")


def test_the_lists_are_json_for_programs(inside):
    listed, removed = inside(
        ["status", "--all", "--json", "--older-than", "0"],
        ["sweep", "--orphans", "--yes", "--older-than", "0", "--json"],
    )
    objects = json.loads(listed[1])["objects"]
    assert sorted(each["kind"] for each in objects) == ["posix-mq", "posix-shm", "sysv-shm"]
    assert all(each["orphan"] for each in objects)
    assert [each["kept"] for each in json.loads(removed[1])["orphans"]] == [None] * 3


def test_young_objects_are_kept_by_default(inside):
    listed, checked, dry, kept = inside(
        ["status", "--all"],
        ["status", "--all", "--check"],
        ["sweep", "--orphans", "--dry-run"],
        ["sweep", "--orphans", "--yes"],
    )
    young = "3 are younger than 60 s (--older-than)\n"
    for done in (listed, checked):
        assert (done[0], done[1].splitlines(keepends=True)[-1]) == (0, f"3 objects, 0 orphans; {young}")
    assert dry == kept
    assert (kept[0], kept[1]) == (0, f"there are no orphans; {young}")


@pytest.mark.skipif(os.geteuid() != 0, reason="creates an object of another user")
def test_dry_run_says_what_this_user_may_not_remove(inside):
    dry, json_dry, done = inside(
        ["sweep", "--orphans", "--older-than", "0s", "--dry-run"],
        ["sweep", "--orphans", "--older-than", "0s", "--dry-run", "--json"],
        ["sweep", "--orphans", "--older-than", "0s", "--yes"],
        user=61001,
        before=["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    )
    kept = re.findall("^kept (System V segment .*: it belongs to user 61001)$", done[1], re.MULTILINE)
    assert (len(kept), done[1].count("\nremoved ")) == (1, 2)
    assert [line for line in dry[1].splitlines() if line.startswith("would keep")] == [f"would keep {kept[0]}"]
    assert dry[1].count("would remove ") == 2
    assert [each["kept"] for each in json.loads(json_dry[1])["orphans"]].count("it belongs to user 61001") == 1
    assert (dry[0], json_dry[0], done[0]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["status", "--check"], "--check and --older-than need --all"),
        (["sweep", "--yes"], "--yes and --older-than need --orphans"),
        (["sweep", "--orphans", "--json"], "--json must be used with --dry-run or --yes: there is no prompt"),
        (
            ["sweep", "--orphans", "--older-than", "soon"],
            "an age must be a number with s, m, h or d, as in 90s, not 'soon'",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(arguments, sentence):
    done = subprocess.run(
        [sys.executable, "-m", "pytest_ipc", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
