"""Every race is found by the concurrent check that its table names; without a race none is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ipc.cli import main

from .interposer import COMPILER, Interposer, compiled, interposed, judged
from .races import NOT_REPRODUCED, RACES, REPRODUCED, SAMPLE, SOURCES
from .reproducers import command_of, run


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the races."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    return compiled(tmp_path_factory.mktemp("races"), SOURCES)


@pytest.fixture(scope="module")
def process(shim: Path) -> Iterator[Interposer]:
    """Run the process that forks the checks with the races."""
    with interposed(shim) as started:
        yield started


def test_sources_and_tables_have_the_same_races():
    there = {race for source in SOURCES for race in re.findall(r'race\("(\w+)"\)', source.read_text())}
    assert sorted(there) == sorted(RACES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "race" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-fault")
        metafunc.parametrize("race", RACES if every else dict.fromkeys([*SAMPLE, *REPRODUCED]))


@pytest.mark.parametrize("clause", sorted({*RACES.values()}))
def test_without_a_race_none_is_found(process, tmp_path, clause):
    found = judged(process, None, [clause], tmp_path)[clause]
    assert found["verdict"] in ("holds", "untested"), found["reason"]


def test_a_race_is_found_and_reproduced(request, process, shim, tmp_path, capsys, race):
    found = judged(process, race, [RACES[race]], tmp_path)[RACES[race]]
    if found["verdict"] == "untested":
        pytest.skip(found["reason"])
    assert found["verdict"] == "deviates", found["reason"]
    assert len(found["evidence"]) > 3, "the timeline"
    languages = ["c", "python"] if request.config.getoption("--every-fault") else REPRODUCED.get(race, "").split()
    for language in languages if race not in NOT_REPRODUCED else ():
        more = ["--python"] if language == "python" else []
        assert main(["reproduce", str(tmp_path / "report.json"), RACES[race], *more]) == 0
        command = command_of(capsys.readouterr().out, tmp_path, is_python=language == "python")
        status, output = run([*command, "60"], shim, race)  # seconds, at most
        assert (status, "this platform deviates" in output) == (1, True), output
        assert "in the nearest of them:" in output
        status, output = run([*command, "0.5"])
        assert (status, "no deviation found" in output) == (0, True), output
