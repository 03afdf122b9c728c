"""The test suites of other projects under `--ipc-leaks=error`: silent, or the leak is shown to be real.

    python -m tests.leak_check.projects [--folder DIR] [--list] [PROJECT...]

Each accused test runs again without the plugin, four times in one process, beside a counter that has no code in common
with the leak check. A leak is real if each run adds to the count, or if a setting differs after the test; an object
that appears in the first run only is kept for the process by a library, and its report is a false alarm. Exits with 1
for a false alarm, or if a project does not run at all. What another process may have made ("perhaps of this test") is
no report under this policy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..harmless.projects import PROJECTS, Project, Suite, cpython, run, unpacked

RECORDING = Path(__file__).parent / "recording"
SETTINGS = {
    "dispositions",
    "signal-mask",
    "timers",
    "alternate-stack",
    "wakeup-fd",
    "umask",
    "working-directory",
    "rlimits",
    "environment",
    "namespaces",
}
_NAMES = (
    "filelock psutil portalocker execnet sysv_ipc posix_ipc fasteners ptyprocess setproctitle watchdog loky".split()
)
_OTHERS = (
    Project(
        "pytest-xdist",
        "3.8.0",
        ("testing",),
        ("filelock", "psutil", "setproctitle"),
        options=("-k", "not looponfail and not TestLoopOnFailing"),
    ),
)
# Of CPython's package `test`.
_CPYTHON = (
    "test_mmap test_signal test_fcntl test_subprocess test_select test_selectors test_threadsignals test_pty".split()
)


# Reports that are right although the runs do not add to the count, with the reason.
_ONCE = {
    ("execnet", "testing/test_channel.py::TestChannelBasicBehaviour"): "its fixture `gw`, of each test, keeps "
    "gateways in a group of the session, and the first test of each kind starts one",
    ("execnet", "testing/test_multi.py::test_safe_terminate[thread]"): "its ten threads sleep for three seconds, and "
    "are waited for one: those of one run end in the next",
}


@dataclass(frozen=True)
class Accused:
    """A test with the kinds of leaks that it is charged with by proof, the first line of each, and how many."""

    test: str
    kinds: Mapping[str, str] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Run them, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", metavar="PROJECT")
    parser.add_argument("--folder", type=Path, help="where packages and results are kept; by default they are not")
    parser.add_argument("--list", action="store_true", help="name the projects")
    options = parser.parse_args(arguments)
    known: dict[str, Callable[[Path], Suite]] = {
        project.name: unpacked(project) for project in (*PROJECTS, *_OTHERS) if project.name in _NAMES
    }
    known.update((project.name, unpacked(project)) for project in _OTHERS)
    known["cpython"] = lambda folder: cpython(folder, _CPYTHON)
    known["cpython-shared-memory"] = shared_memory
    if options.list:
        print(*known, sep="\n")
        return 0
    if unknown := set(options.projects) - known.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        bad = [
            name
            for name, prepare in known.items()
            if name in (options.projects or known) and not silent_or_right(name, prepare, folder)
        ]
    print(f"false alarms: {', '.join(bad)}" if bad else "no false alarm")
    return 1 if bad else 0


def shared_memory(folder: Path) -> Suite:
    """Return the part of CPython's tests of multiprocessing that shares memory, for the start method fork."""
    home = folder / "cpython-shared-memory"
    home.mkdir(parents=True, exist_ok=True)
    module = home / "test_multiprocessing_fork.py"  # as that of CPython, which is not installed everywhere
    module.write_text(
        "from test import _test_multiprocessing\n"
        "_test_multiprocessing.install_tests_in_module_dict(globals(), 'fork')\n"
    )
    names = "TestSharedMemory or TestSharedCTypes or TestHeap or WithProcessesTestValue or WithProcessesTestArray"
    return Suite(home, (module.name,), ("--rootdir", str(home), "-c", os.devnull, "-k", names))


def silent_or_right(name: str, prepare: Callable[[Path], Suite], folder: Path) -> bool:
    """Run a suite with the leak check, and print what it reports; return whether each report is right."""
    try:
        suite = prepare(folder)
        outcomes, accused = audited(suite)
    except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"{name}: {error}", flush=True)
        return False
    passed = sum("call passed" in outcome for outcome in outcomes.values())
    print(f"{name}: {len(outcomes)} tests, {passed} passed, {len(accused)} charged with leaks", flush=True)
    if passed < suite.least:
        print(f"    which is not a run: at least {suite.least} were expected")
        return False
    growth = repeated(suite, tuple(each.test for each in accused)) if accused else {}
    right = True
    verdicts = Counter[str]()
    for each in accused:
        for kind, line in each.kinds.items():
            verdict = judged(kind, growth.get(each.test, []))
            for (project, tests), reason in _ONCE.items():
                if verdict.startswith("false alarm") and name == project and each.test.startswith(tests):
                    verdict = f"explained: {reason}"
            verdicts[verdict.partition(":")[0]] += 1
            right &= verdict.startswith(("real", "explained"))
            print(f"    {verdict}: {each.test}: {line}", flush=True)
    if verdicts:
        print("   ", ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()))
    return right


def audited(suite: Suite) -> tuple[Mapping[str, str], list[Accused]]:
    """Run a suite with the leak check; return outcomes and the tests charged with a leak by proof."""
    with tempfile.NamedTemporaryFile("r") as file:
        done = run(
            suite,
            suite.tests,
            plugin=True,
            options=("--ipc-leaks=error", "-p", "record_leaks"),
            modules=(RECORDING,),
            environment={"LEAKS": file.name},
        )
        leaks: dict[str, list[str]] = json.load(file)
    accused = []
    for test, lines in leaks.items():
        proved = [line for line in lines if "perhaps of this test" not in line]
        kinds = dict(reversed([(line.partition(": ")[0], line) for line in proved]))
        if kinds:
            accused.append(Accused(test, kinds))
    return done.outcomes, accused


def repeated(suite: Suite, tests: tuple[str, ...]) -> Mapping[str, list[dict[str, list[object]]]]:
    """Run tests again and again without the plugin; return what each run of each test has changed."""
    with tempfile.NamedTemporaryFile("r") as file:
        run(
            suite,
            tuple(located(suite, test) for test in tests),
            plugin=False,
            options=("-p", "count_growth"),
            modules=(RECORDING,),
            environment={"GROWTH": file.name},
        )
        found: Mapping[str, list[dict[str, list[object]]]] = json.load(file)
    return found


def located(suite: Suite, test: str) -> str:
    """Return the test with the path of its file as the suite has it: ids are relative to the root of the suite."""
    file, colons, name = test.partition("::")
    paths = [path for path in suite.tests if Path(path).is_absolute() and Path(path).name == file]
    return f"{paths[0] if paths else file}{colons}{name}"


def judged(kind: str, runs: list[dict[str, list[object]]]) -> str:
    """Return whether the counts of the runs of a test confirm a leak of this kind."""
    if len(runs) < 2:
        return "not repeated"
    if kind in SETTINGS:
        return "real: differs after the test" if kind in runs[0] else "false alarm: does not differ"
    grown = [int(str(counts[1])) - int(str(counts[0])) if (counts := each.get(kind)) else 0 for each in runs]
    if sum(count > 0 for count in grown) > 1:  # sometimes the garbage of all runs is collected in one
        return f"real: {grown} more with the runs"
    return f"{'false alarm' if grown[0] > 0 else 'not confirmed'}: {grown} more with the runs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
