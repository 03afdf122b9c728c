"""What a clause has made by the call itself does not outlive a run that is killed at the next call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc.kernel import Deadline, mq_close, mq_open, msgctl_stat, semctl_stat, shmctl_stat

ROOT = Path(__file__).parents[2]
KILLED = [
    "shm/test_shmget.py::test_private_always_creates",
    "shm/test_shmget.py::test_mode_is_low_nine_bits_of_flags",
    "shm/test_shmctl.py::test_ipc_rmid_frees_key",
    "sem/test_semget.py::test_private_always_creates",
    "sem/test_semget.py::test_effective_ids_and_mode_of_new_set",
    "sem/test_semget.py::test_set_outlives_creator",
    "sem/test_semctl.py::test_ipc_rmid_removes_at_once",
    "msg/test_msgget.py::test_private_is_new_every_time",
    "msg/test_msgctl.py::test_removal_is_immediate",
    "posix/test_shm_open.py::test_umask_clears_permissions",
    "posix/test_sem_open.py::test_new_semaphore_has_the_value_given",
    "posix/test_mq_open.py::test_new_queue_has_the_attributes_given",
]


def exists(call: str, what: str) -> bool:
    """Return whether the result of *call*, an id or a name, still refers to an object."""
    try:
        match call:
            case "shmget":
                shmctl_stat(int(what))
            case "semget":
                semctl_stat(int(what))
            case "msgget":
                msgctl_stat(int(what))
            case "mq_open":
                mq_close(mq_open(what, os.O_RDONLY))
            case _:
                os.stat(f"/dev/shm/{'sem.' * (call == 'sem_open')}{what[1:]}")
    except OSError:
        return False
    return True


@pytest.mark.parametrize("test", KILLED)
def test_nothing_outlives_a_run_that_is_killed(test, tmp_path):
    made = tmp_path / "made"
    made.touch()
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "-ptests.custody.killing_plugin"]
    environment = os.environ | {"MADE": str(made), "TMPDIR": str(tmp_path)}
    environment.pop("XDG_RUNTIME_DIR", None)
    run = subprocess.run(
        [*command, f"conformance/{test}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode != 0, run.stdout
    objects = [line.split(maxsplit=1) for line in made.read_text().splitlines()]
    assert objects, run.stdout
    assert "&" not in [what for _, what in objects], "a name that is too long to be told"
    left = objects

    def gone() -> bool:
        nonlocal left
        left = [object for object in objects if exists(*object)]
        return not left

    assert Deadline(10).until(gone), left
