"""Every race is found by the concurrent check that its table names; without a race none is found."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .interposer import COMPILER, Interposer, compiled, interposed, judged
from .races import RACES, SAMPLE, SOURCES


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interposer]:
    """Run the process that forks the checks with the races."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    with interposed(compiled(tmp_path_factory.mktemp("races"), SOURCES)) as started:
        yield started


def test_sources_and_tables_have_the_same_races():
    there = {race for source in SOURCES for race in re.findall(r'race\("(\w+)"\)', source.read_text())}
    assert sorted(there) == sorted(RACES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "race" in metafunc.fixturenames:
        metafunc.parametrize("race", RACES if metafunc.config.getoption("--every-fault") else SAMPLE)


@pytest.mark.parametrize("clause", sorted({*RACES.values()}))
def test_without_a_race_none_is_found(process, tmp_path, clause):
    found = judged(process, None, [clause], tmp_path)[clause]
    assert found["verdict"] in ("holds", "untested"), found["reason"]


def test_a_race_is_found(process, tmp_path, race):
    found = judged(process, race, [RACES[race]], tmp_path)[RACES[race]]
    if found["verdict"] == "untested":
        pytest.skip(found["reason"])
    assert found["verdict"] == "deviates", found["reason"]
    assert len(found["evidence"]) > 3, "the timeline"
