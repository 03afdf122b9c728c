"""What the plugin costs a project that does not use it: CPU time per empty test, and at the start of a run.

    python benchmarks/unused.py [--rounds N] [--tests N]

Per test two things are measured. In one process, blocks of tests with the plugin's hooks registered and without them
alternate: nothing else differs, so a percent is seen on a machine that is not quiet. Whole runs, with the plugin and
with `-p no:ipc`, show collection too. CPU time, not wall time, which would include other processes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FILES = {
    "function": "".join(f"def test_{number}(): pass\n" for number in range(500)),
    "unittest": "import unittest\nclass TestIt(unittest.TestCase):\n"
    + "".join(f"    def test_{number}(self): pass\n" for number in range(500)),
    "fixture": "import pytest\n@pytest.fixture\ndef value(): return 1\n"
    + "".join(f"def test_{number}(value): pass\n" for number in range(500)),
}
# Takes the plugin's hooks away for every second block of tests. Those of the plugin's module run once a session or a
# collector.
ALTERNATING = """
import gc, json, os, time
import pytest

def pytest_runtestloop(session):
    manager = session.config.pluginmanager
    own = {name: plugin for name, plugin in manager.list_name_plugin() if plugin and name.startswith("ipc-")}
    taken = [[], []]
    blocks = [session.items[at:at + 50] for at in range(0, len(session.items), 50)]
    for number, block in enumerate(blocks):
        gc.collect()
        with_it = (number + number // 2) % 2
        if not with_it:
            for plugin in own.values():
                manager.unregister(plugin)
        begin = time.process_time()
        for at, item in enumerate(block):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=block[at + 1] if at + 1 < len(block) else None)
        taken[with_it].append((time.process_time() - begin) / len(block))
        if not with_it:
            for name, plugin in own.items():
                manager.register(plugin, name)
    with open(os.environ["TAKEN"], "w") as file:
        json.dump(taken, file)
    return True
"""


def run(folder: Path, *arguments: str) -> float:
    """Return the seconds of CPU time that a run of pytest takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TAKEN": str(folder / "taken")}
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder, env=environment)
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, " ".join(command)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tests", type=int, default=3000)
    arguments = parser.parse_args()
    plugin = ["-p", "pytest_ipc.plugin.hooks"]
    print(f"{'':10} {'hooks, per test':>28} {'whole run, per test':>28}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "alternating.py").write_text(ALTERNATING)
        (folder / "test_one.py").write_text("def test_one(): pass\n")
        for kind, source in FILES.items():
            files = [folder / f"test_{kind}_{number}.py" for number in range(arguments.tests // 500)]
            for file in files:
                file.write_text(source)
            names = [file.name for file in files]
            without, with_it = [], []
            for _ in range(arguments.rounds):
                run(folder, *plugin, "-p", "alternating", *names)
                blocks = json.loads((folder / "taken").read_text())
                without.append(statistics.median(blocks[0]))
                with_it.append(statistics.median(blocks[1]))
            hooks = show(statistics.median(without), statistics.median(with_it))
            whole: list[list[float]] = [[], []]
            for _ in range(arguments.rounds):
                for which, options in enumerate(([], plugin)):
                    once = run(folder, *options, "test_one.py")
                    whole[which].append((run(folder, *options, *names) - once) / arguments.tests)
            print(f"{kind:10} {hooks:>28} {show(*map(statistics.median, whole)):>28}", flush=True)
        starts = [
            [run(folder, *options, "test_one.py") for _ in range(2 * arguments.rounds)] for options in ([], plugin)
        ]
        before, after = map(statistics.median, starts)
        print(f"a run of one test: {before * 1000:.0f} ms, with the plugin {(after - before) * 1000:+.1f} ms")


def show(before: float, after: float) -> str:
    """Return seconds without the plugin, and the difference."""
    return f"{before * 1e6:.0f} us {(after - before) * 1e6:+.1f} us {(after / before - 1):+.1%}"


if __name__ == "__main__":
    main()
