"""Whichever two processes of a run are killed at any moment, nothing of it remains after the next sweep.

Some rounds are tried here; --random-kills=N tries N (`tox -e random-kills`: 300).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = 4  # for several processes to share


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
def test_random_kills_leak_nothing_after_the_next_sweep(tmp_path, pytestconfig, record_property, part):
    rounds = -(-pytestconfig.getoption("--random-kills") // PARTS)
    seed = int.from_bytes(os.urandom(3)) * PARTS + part
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV", "XDG"))}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "tests.custody.random_kills", str(tmp_path), str(seed), str(rounds)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    record_property("seed", seed)
    assert len(found) == rounds
    assert [each for each in found if each["left"]] == [], f"seed {seed}"
