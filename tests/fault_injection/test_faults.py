"""Every fault is detected by the clauses that name it, as a deviation and not as a broken suite."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_ipc import Child
from pytest_ipc.kernel import CLONE_NEWIPC, unshare

from . import survey
from .interposer import COMPILER, Interposer, Verdicts, compiled, interposed, judged, wordless
from .races import RACES
from .table import FAULTS, LEAKING, SAMPLE, SOURCES
from .test_seccomp import KERNEL_FAULTS


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the faults."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    return compiled(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def own_namespace() -> bool:
    """Return whether a child may have its own IPC namespace, which ends with all objects that a fault leaks."""
    try:
        with Child.start(unshare, (CLONE_NEWIPC,)) as child:
            child.result()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def process(shim: Path) -> Iterator[Interposer]:
    """Run the process that forks the checks with the interposer, with short deadlines."""
    with interposed(shim, patience=0.3) as started:
        yield started


@pytest.fixture(scope="module")
def patient_process(shim: Path) -> Iterator[Interposer]:
    """Run the same with the usual deadlines."""
    with interposed(shim) as started:
        yield started


@pytest.fixture
def verdicts_under(process: Interposer, own_namespace: bool, tmp_path: Path) -> Callable[..., Verdicts]:
    """Return a function that checks clauses under one fault or none, and returns the verdict on each."""

    def check(fault: str | None, clauses: list[str]) -> Verdicts:
        if fault in LEAKING and not own_namespace:
            pytest.skip("needs an IPC namespace: this fault leaks objects")
        return judged(process, fault, clauses, tmp_path)

    return check


def test_interposer_and_table_have_the_same_faults():
    injected = [fault for source in SOURCES for fault in set(re.findall(r'fault\("(\w+)"\)', source.read_text()))]
    assert sorted(injected) == sorted(FAULTS)


def test_every_clause_has_a_fault():
    """Or a fault below libc. A clause that no fault makes fail may be asserting nothing."""
    named = {id for table in (FAULTS, KERNEL_FAULTS) for ids in table.values() for id in ids} | {*RACES.values()}
    assert [id for ids in survey.clauses().values() for id in ids if id not in named] == []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize("fault", FAULTS if metafunc.config.getoption("--every-fault") else SAMPLE)


@pytest.mark.timeout(600)  # it runs much of the suite
def test_interposer_without_a_fault_changes_nothing(patient_process, tmp_path, request):
    faults = FAULTS if request.config.getoption("--every-fault") else SAMPLE
    every = sorted({clause for fault in faults for clause in FAULTS[fault]})
    found: Verdicts = {}
    for start in range(0, len(every), 200):  # one check of all would exceed its time limit
        found |= judged(patient_process, None, every[start : start + 200], tmp_path)
    assert not_so(found, every, "holds", "disputed") == {}


def test_fault_is_detected(verdicts_under, fault):
    found = verdicts_under(fault, FAULTS[fault])
    assert not_so(found, FAULTS[fault], "deviates") == {}
    assert wordless(found) == {}
    if all(found[id]["verdict"] == "untested" for id in FAULTS[fault]):
        pytest.skip(f"none of the clauses can be tried here: {found[FAULTS[fault][0]]['reason']}")


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
    (id,) = FAULTS["shmget_excl_ignored"]
    evidence: Any = verdicts_under("shmget_excl_ignored", [id])[id]["evidence"]
    assert re.fullmatch(r"shm/test_shmget\.py:\d+: with fails_with\(EEXIST\): shmget\(.*\)", evidence[0])
    assert re.fullmatch(r"shmget\(\d+, \d+, IPC_EXCL\|IPC_CREAT\|0600\) = \d+", evidence[-1])


def not_so(found: Verdicts, clauses: list[str], *verdicts: str) -> dict[str, str]:
    """Return the verdicts of those *clauses* that were judged with none of *verdicts*."""
    results = {id: found.get(id, {"verdict": "no verdict", "reason": ""}) for id in clauses}
    return {
        id: f"{result['verdict']}: {result['reason']}"
        for id, result in results.items()
        if result["verdict"] not in (*verdicts, "untested")
    }
