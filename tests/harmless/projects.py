"""The test suites of other projects, with the plugin installed and unused: the outcomes must be those without it.

    python -m tests.harmless.projects [--folder DIR] [--list] [PROJECT...]

Each source package is downloaded by pip, and its tests run with `-p no:ipc` and with the plugin, in this environment's
pytest. A test whose outcome differs runs again and again without the plugin: only one that has the other outcome there
too, once at least, is flaky, and it is named. Exits with 1 if an outcome differs, or if a project does not run at all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

RECORDING = Path(__file__).parent / "recording"
REPEATED = 10  # how often tests whose outcome differs run without the plugin
LIMIT = 900  # seconds that one run may take


@dataclass(frozen=True)
class Project:
    """A source package: its tests, what they need installed, and what they cannot run here without any plugin."""

    name: str
    version: str
    tests: tuple[str, ...]
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    installed: bool = False  # whether the tests are a part of what is installed
    least: int = 10  # tests that pass: fewer would mean that the suite did not run


# They fork, signal, wait, lock, share memory or patch the system.
PROJECTS = (
    Project("pyfakefs", "6.3.2", ("pyfakefs/tests", "pyfakefs/pytest_tests"), installed=True),
    Project("freezegun", "1.5.5", ("tests",), ("python-dateutil",)),
    Project("pytest-mock", "3.17.0", ("tests",), ("pytest-asyncio",)),
    Project("filelock", "3.20.0", ("tests",), ("pytest-mock", "pytest-timeout", "pytest-asyncio", "virtualenv")),
    Project(
        "psutil",
        "7.2.2",
        ("tests",),
        ("setuptools", "pytest-xdist"),
        options=("--import-mode=append", "--ignore=tests/test_memleaks.py", "-o", "verbosity_subtests=auto"),
    ),
    Project("portalocker", "3.2.0", ("portalocker_tests",), ("redis", "pytest-timeout", "pytest-rerunfailures")),
    Project("execnet", "2.1.2", ("testing",), ("gevent", "pytest-timeout")),
    Project("supervisor", "4.3.0", ("supervisor/tests",), ("setuptools",)),
    Project("sysv_ipc", "1.2.0", ("tests",)),
    Project("posix_ipc", "1.3.2", ("tests",), options=("-s",)),
    Project("pexpect", "4.9.0", ("tests",), ("ptyprocess",)),
    Project("ptyprocess", "0.7.0", ("tests",)),
    Project("sh", "2.4.0", ("tests",)),
    Project("setproctitle", "1.3.8", ("tests",)),
    Project("billiard", "4.3.2", ("t",), ("psutil",)),
    Project(
        "loky",
        "3.7.0",
        ("tests",),
        ("cloudpickle", "psutil", "pytest-timeout"),
        options=("-o", "faulthandler_exit_on_timeout=false"),  # after a minute, which a busy machine needs
    ),
    Project("watchdog", "7.1.0", ("tests",), ("PyYAML", "pytest-timeout", "flaky")),
    Project("fasteners", "0.20", ("tests",), ("diskcache", "more-itertools")),
    Project("pytest-timeout", "2.4.0", ("test_pytest_timeout.py",), ("pexpect",)),
)

# CPython's own, of the package `test` that is installed with this Python.
CPYTHON = """
    test_mmap test_signal test_fcntl test_subprocess test_fork1 test_wait3 test_wait4 test_posix test_select test_poll
    test_epoll test_selectors test_threadsignals test_pty test_openpty test_ioctl test_resource test_tempfile test_time
    test_contextlib
""".split()


def main(arguments: list[str]) -> int:
    """Run them, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", nargs="*", metavar="PROJECT")
    parser.add_argument("--folder", type=Path, help="where packages and results are kept; by default they are not")
    parser.add_argument("--list", action="store_true", help="name the projects")
    options = parser.parse_args(arguments)
    known: dict[str, Callable[[Path], Suite]] = {project.name: unpacked(project) for project in PROJECTS}
    known["cpython"] = cpython
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
            if name in (options.projects or known) and not same(name, prepare, folder)
        ]
    print(f"not the same: {', '.join(bad)}" if bad else "the same everywhere")
    return 1 if bad else 0


@dataclass(frozen=True)
class Suite:
    """A suite that is ready to run: where, with what on the path of modules, and how."""

    folder: Path
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()
    modules: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    least: int = 10


def unpacked(project: Project) -> Callable[[Path], Suite]:
    """Return what downloads, installs and unpacks the project, unless that has been done."""

    def prepare(folder: Path) -> Suite:
        home = folder / f"{project.name}-{project.version}"
        site, done = home / "site", home / "done"
        if not (done.exists() and done.read_text() == repr(project)):
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            this = f"{project.name}=={project.version}"
            pip("download", "--no-deps", "--no-binary", ":all:", "--dest", home, this)
            pip("install", "--no-deps", "--target", site, this)
            if project.needs:
                pip("install", "--target", site, "--upgrade", *project.needs)
            for name in ("pytest", "_pytest", "pluggy", "py.py"):  # those of the environment are what is tried
                for path in [site / name, *site.glob(f"{name}-*.dist-info")]:
                    shutil.rmtree(path, ignore_errors=True)
            (archive,) = home.glob("*.tar.gz")
            shutil.unpack_archive(archive, home / "source", filter="data")
            done.write_text(repr(project))
        (source,) = (home / "source").iterdir()
        modules = (site, source)  # modules in C are built only in the first
        place = site if project.installed else source
        return Suite(place, project.tests, project.options, modules, project.environment, project.least)

    return prepare


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def cpython(folder: Path, names: Sequence[str] = CPYTHON) -> Suite:
    """Return the suite of this Python, or modules of it by name, which runs in an empty folder."""
    place = Path(sysconfig.get_paths()["stdlib"]) / "test"
    home = folder / "cpython"
    home.mkdir(parents=True, exist_ok=True)
    tests = tuple(str(place / f"{name}.py") for name in names if (place / f"{name}.py").exists())
    return Suite(home, tests, ("--rootdir", str(place), "--confcutdir", str(place), "-c", os.devnull), least=300)


def same(name: str, prepare: Callable[[Path], Suite], folder: Path) -> bool:
    """Run a suite without the plugin and with it, and print how they compare; whether the outcomes are the same."""
    try:
        suite = prepare(folder)
        without, with_it = (run(suite, suite.tests, plugin=plugin) for plugin in (False, True))
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"{name}: {error}", flush=True)
        return False
    passed = sum("call passed" in outcome for outcome in without.outcomes.values())
    print(f"{name}: {len(without.outcomes)} tests, {passed} passed", end="", flush=True)
    if passed < suite.least:
        print(f", which is not a run: at least {suite.least} were expected\n{without.output[-3000:]}")
        return False
    flaky, wrong = compare(suite, without, with_it)
    print(f", {len(flaky)} flaky without the plugin" if flaky else "", "" if wrong else ", the same", sep="")
    for line in [*flaky, *wrong]:
        print(f"    {line}", flush=True)
    return not wrong


@dataclass(frozen=True)
class Run:
    """What came of each test of a run, its exit status and its output."""

    outcomes: Mapping[str, str]
    status: int
    output: str


def run(
    suite: Suite,
    tests: tuple[str, ...],
    *,
    plugin: bool,
    options: tuple[str, ...] = (),
    modules: tuple[Path, ...] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """Run tests of a suite with further options, modules and variables. RuntimeError if the run gave no outcomes."""
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryFile() as output:
        command = [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "record_outcomes",
            "-o",
            "addopts=",
        ]
        command += [*suite.options, *options, *([] if plugin else ["-p", "no:ipc"]), *tests]
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, [*suite.modules, RECORDING, *modules])),
            "OUTCOMES": file.name,
            "PYTHONDONTWRITEBYTECODE": "1",
            **suite.environment,
            **environment,
        }
        status = subprocess.run(
            command,
            cwd=suite.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=LIMIT,
            check=False,
        ).returncode
        output.seek(0)
        text = output.read().decode(errors="replace")
        file.seek(0)
        try:
            found = json.load(file)
        except ValueError:
            raise RuntimeError(f"exit status {status} and no outcomes:\n{text[-3000:]}") from None
    return Run({test: ", ".join(phases) for test, phases in found.items()}, status, text)


def compare(suite: Suite, without: Run, with_it: Run) -> tuple[list[str], list[str]]:
    """Return a line for each test that is flaky without the plugin, and one for each that differs and is not."""
    differing = differences(without, with_it)
    print(f", {len(differing)} to be repeated" if differing else "", end="", flush=True)
    seen = {test: {without.outcomes.get(test, "absent")} for test in differing}
    for number in range(REPEATED if differing else 0):
        # Half of the times with the tests around them.
        tests = tuple(sorted({test.partition("::")[0] for test in differing})) if number % 2 else tuple(differing)
        again = run(suite, tests, plugin=False)
        for test in differing:
            seen[test].add(again.outcomes.get(test, "absent"))
    flaky, wrong = [], []
    for test in differing:
        plugins = with_it.outcomes.get(test, "absent")
        every = " / ".join(sorted(seen[test]))
        if plugins in seen[test]:
            flaky.append(f"flaky: {test}: {every} without the plugin, {plugins} with it")
        else:
            wrong.append(f"DIFFERS: {test}: {every} without the plugin, {plugins} with it")
    if not differing and without.status != with_it.status:
        wrong.append(f"DIFFERS: exit status {without.status} without the plugin, {with_it.status} with it")
    return flaky, wrong


def differences(without: Run, with_it: Run) -> list[str]:
    """Return the tests whose outcomes differ."""
    tests = without.outcomes.keys() | with_it.outcomes.keys()
    return sorted(test for test in tests if without.outcomes.get(test) != with_it.outcomes.get(test))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
