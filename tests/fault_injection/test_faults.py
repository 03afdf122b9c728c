"""Every lie is caught by the clauses that name it, and by them for what it is: a deviation, not a broken suite."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child
from pytest_ipc.kernel import CLONE_NEWIPC, unshare

from . import survey
from .interposer import COMPILER, Liar, Verdicts, compiled, judged, liar, wordless
from .races import RACES
from .table import LEAKING, LIES, SAMPLE, SOURCES
from .test_seccomp import FAULTS


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lies, compiled."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    return compiled(tmp_path_factory.mktemp("lies"))


@pytest.fixture(scope="module")
def own_namespace() -> bool:
    """Whether a child may have an IPC namespace of its own, which takes with it whatever a lie has left behind."""
    try:
        with Child.start(unshare, (CLONE_NEWIPC,)) as child:
            child.result()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def process(shim: Path) -> Iterator[Liar]:
    """The process that forks the checks, with the shim in libc's place. What does not come under a fault is not waited for long."""
    with liar(shim, patience=0.3) as started:
        yield started


@pytest.fixture(scope="module")
def patient_process(shim: Path) -> Iterator[Liar]:
    """The same with the deadlines that checks have elsewhere."""
    with liar(shim) as started:
        yield started


@pytest.fixture
def verdicts_under(process: Liar, own_namespace: bool, tmp_path: Path) -> Callable[..., Verdicts]:
    """Check some clauses with the shim in libc's place, telling one lie or none: the verdict on each."""

    def check(lie: str | None, clauses: list[str]) -> Verdicts:
        if lie in LEAKING and not own_namespace:
            pytest.skip("needs an IPC namespace: what this lie says has been removed stays")
        return judged(process, lie, clauses, tmp_path)

    return check


def test_interposer_and_table_have_the_same_faults():
    told = [lie for source in SOURCES for lie in set(re.findall(r'lie\("(\w+)"\)', source.read_text()))]
    assert sorted(told) == sorted(LIES)


def test_every_clause_has_a_fault():
    """Or a fault below libc. A clause that nothing makes fail may be asserting nothing."""
    named = {id for table in (LIES, FAULTS) for ids in table.values() for id in ids} | {*RACES.values()}
    assert [id for ids in survey.clauses().values() for id in ids if id not in named] == []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lie" in metafunc.fixturenames:
        metafunc.parametrize("lie", LIES if metafunc.config.getoption("--every-fault") else SAMPLE)


@pytest.mark.timeout(600)  # it runs much of the suite
def test_interposer_without_a_fault_changes_nothing(patient_process, tmp_path, request):
    lies = LIES if request.config.getoption("--every-fault") else SAMPLE
    every = sorted({clause for lie in lies for clause in LIES[lie]})
    found: Verdicts = {}
    for start in range(0, len(every), 200):  # one check of them all would take longer than a check may
        found |= judged(patient_process, None, every[start : start + 200], tmp_path)
    assert not_so(found, every, "holds", "disputed") == {}


def test_fault_is_detected(verdicts_under, lie):
    found = verdicts_under(lie, LIES[lie])
    assert not_so(found, LIES[lie], "deviates") == {}
    assert wordless(found) == {}
    if all(found[id]["verdict"] == "untested" for id in LIES[lie]):
        pytest.skip(f"none of the clauses can be tried here: {found[LIES[lie][0]]['reason']}")


@pytest.mark.parametrize(
    ("text", "is_wordless"),
    [
        ("", True),
        ("assert 1 == 3", True),
        ("AssertionError", True),
        ("b'aaa...aaa' is not b'bbb...bbb'", True),
        ("it is <Segment object at 0x7f00>", True),
        ("it is '...ww'", False),
        ("it is 1", False),
    ],
)
def test_observation_without_words_is_found(text, is_wordless):
    found = {"a.b": {"verdict": "deviates", "expected": "it to be 3", "observed": text}}
    assert wordless(found) == ({"a.b, observed": text} if is_wordless else {})
    assert wordless({"a.b": {**found["a.b"], "verdict": "broken"}}) == {}


def test_the_evidence_names_the_call(verdicts_under):
    (id,) = LIES["shmget_excl_ignored"]
    evidence: Any = verdicts_under("shmget_excl_ignored", [id])[id]["evidence"]
    assert re.fullmatch(r"shm/test_shmget\.py:\d+: with fails_with\(EEXIST\): shmget\(.*\)", evidence[0])
    assert re.fullmatch(r"shmget\(\d+, \d+, \d+\) = \d+", evidence[-1])


def not_so(found: Verdicts, clauses: list[str], *verdicts: str) -> dict[str, str]:
    """Those of *clauses* that were judged, and with none of *verdicts*: what came instead."""
    told = {id: found.get(id, {"verdict": "no verdict", "reason": ""}) for id in clauses}
    return {
        id: f"{result['verdict']}: {result['reason']}"
        for id, result in told.items()
        if result["verdict"] not in (*verdicts, "untested")
    }
