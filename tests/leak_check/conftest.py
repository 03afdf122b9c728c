"""A project with planted leaks, run in a pytest of its own: the outcome and the leaks of each of its tests."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_ipc.kernel import umount2


@dataclass
class Found:
    """What one run has reported: outcomes and leak lines by test, its output, and the objects that planted.py made."""

    outcomes: dict[str, str]
    leaks: dict[str, list[str]]
    output: str
    made: set[str]
    place: str  # the temporary directory of the run

    def kinds(self, test: str) -> set[str]:
        """Return the kinds of the leaks that *test* is charged with, as lines() does."""
        return {line.partition(":")[0] for line in self.lines(test)}

    def lines(self, test: str) -> list[str]:
        """Return the leaks that *test* is charged with, by proof; and of guesses those that are planted.

        Other tests on this machine make and remove objects at the same time, so that one may be taken for this test's.
        """
        own = [self.place, *(name for name in (each.split()[1] for each in self.made) if name.startswith("planted"))]
        return [
            line
            for line in self.leaks.get(test, [])
            if "perhaps of this test" not in line or any(name in line for name in own)
        ]


@pytest.fixture
def audited(pytester, tmp_path, monkeypatch) -> Callable[..., Found]:
    """Run the source of a test module with these options of pytest."""
    room = tmp_path / "tmp"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    shutil.copy(Path(__file__).with_name("planted.py"), pytester.path / "planted.py")

    def run(source: str, *options: str) -> Found:
        file = pytester.makepyfile(source)
        xml = tmp_path / "report.xml"
        result = pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", f"--junit-xml={xml}", "-o", "junit_family=xunit1", *options, file
        )
        for mounted in (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()):
            if mounted.startswith(str(room)):
                umount2(mounted)
        outcomes, leaks = dict[str, str](), dict[str, list[str]]()
        for case in ET.parse(xml).iter("testcase"):
            name = case.attrib["name"]
            worst = next((found.tag for found in case if found.tag in ("failure", "error", "skipped")), "passed")
            if worst != "passed" or name not in outcomes:
                outcomes[name] = worst
            found = [p.attrib["value"] for p in case.iter("property") if p.attrib["name"] == "ipc_leak"]
            leaks.setdefault(name, []).extend(found)
        made = pytester.path / "made"
        lines = set(made.read_text().splitlines()) if made.exists() else set[str]()
        return Found(outcomes, leaks, result.stdout.str() + result.stderr.str(), lines, str(room))

    return run
