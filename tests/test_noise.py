"""The noisy neighbour makes objects of every kind, passes the command's exit status on, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc.kernel import sysvipc_shm

from . import noise

ROOT = Path(__file__).parents[1]


def test_neighbour_makes_and_removes():
    with noise.Neighbour() as neighbour:
        pass
    assert neighbour.rounds >= noise._MOST
    assert neighbour._process.pid not in {row.cpid for row in sysvipc_shm() or ()}


@pytest.mark.parametrize("status", [0, 7])
def test_status_of_the_command_is_passed_on(status):
    command = [sys.executable, "-m", "tests.noise", sys.executable, "-c", f"import sys; sys.exit({status})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


# To fork without more ado is for the neighbour's own process.
HERE = {make.__name__: make for make in noise._KINDS if make is not noise._make_process}


@pytest.mark.parametrize("make", HERE.values(), ids=HERE)
def test_each_object_can_be_made_and_removed(tmp_path, make):
    remove = make(str(tmp_path))
    remove()
    assert [path for path in tmp_path.iterdir() if path.is_fifo()] == []
