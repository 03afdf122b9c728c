"""A reproducer exits with 1 under the fault whose deviation it was made of, and with 0 without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ipc.cli import main

from .interposer import COMPILER, Interposer, compiled, interposed, judged
from .reproducers import command_of, run

# A fault and a clause of each kind of program: an errno, a value, a text, an array, a call that must sleep or return, a
# process id, the end of a process, several processes, the calls of Python's own modules.
PROGRAMS = {
    "msgget_excl_ignored": "msgget.excl-existing-key-eexist",
    "msgrcv_type_ignored": "msgrcv.type-positive",
    "msgsnd_loses_a_byte": "msgsnd.text-any-bytes",
    "msgrcv_never_waits": "msgrcv.blocks-until-message",
    "msgctl_counts_wrong": "msgctl.stat-counts",
    "msgrcv_removal_is_a_bad_id": "msgrcv.eidrm",
    "msgctl_pids_missing": "msgrcv.dequeue-updates",
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the faults."""
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    return compiled(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def process(shim: Path) -> Iterator[Interposer]:
    """Run the process that forks the checks with the interposer, with short deadlines."""
    with interposed(shim, patience=0.3) as started:
        yield started


@pytest.mark.parametrize("language", ["c", "python"])
@pytest.mark.parametrize("fault", PROGRAMS)
def test_program_shows_the_fault(process, shim, tmp_path, capsys, fault, language):
    id = PROGRAMS[fault]
    found = judged(process, fault, [id], tmp_path)[id]
    if found["verdict"] == "untested":
        pytest.skip(found["reason"])
    assert found["verdict"] == "deviates"
    more = ["--python"] if language == "python" else []
    assert main(["reproduce", str(tmp_path / "report.json"), id, *more]) == 0
    command = command_of(capsys.readouterr().out, tmp_path, is_python=language == "python")
    status, output = run(command)
    assert (status, "does not deviate" in output) == (0, True), output
    status, output = run(command, shim, fault)
    assert (status, "this platform deviates" in output) == (1, True), output
    assert "expected: " in output
    assert "observed: " in output


def test_a_clause_without_a_program_is_reported(process, tmp_path, capsys):
    """The content of shared memory is not the outcome of a call."""
    fault, id = "msgctl_counts_wrong", "msg.model"
    assert judged(process, fault, [id], tmp_path)[id]["verdict"] == "deviates"
    assert main(["reproduce", str(tmp_path / "report.json"), id]) == 4
    assert "no program can be made of msg.model: the report lacks" in capsys.readouterr().err


def test_a_clause_that_holds_is_refused(process, tmp_path, capsys):
    id = "msgget.excl-existing-key-eexist"
    assert judged(process, None, [id], tmp_path)[id]["verdict"] == "holds"
    assert main(["reproduce", str(tmp_path / "report.json"), id]) == 2
    assert f"{id} holds in" in capsys.readouterr().err


def test_an_unknown_clause_is_refused(process, tmp_path, capsys):
    assert judged(process, None, ["msgget.excl-existing-key-eexist"], tmp_path)
    assert main(["reproduce", str(tmp_path / "report.json"), "msgget.nothing"]) == 2
    assert "does not judge the clause 'msgget.nothing'" in capsys.readouterr().err


def test_evidence_has_names_fields_and_roles(process, tmp_path):
    fault, id = "msgrcv_removal_is_a_bad_id", "msgrcv.eidrm"
    judged(process, fault, [id], tmp_path)
    (clause,) = json.loads((tmp_path / "report.json").read_text())["clauses"]
    lines = clause["evidence"]
    assert any("IPC_EXCL|IPC_CREAT|0600" in line for line in lines), lines
    assert any(line.startswith("[child] msgrcv(") and line.endswith(" EINVAL") for line in lines), lines
    assert any("msgctl(" in line and "IPC_RMID" in line for line in lines), lines
