"""The verifier finds a sandbox that breaks its promises, and does not judge one that cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_promises

PROMISES = Path(__file__).with_name("test_promises.py")

SANDBOX = Path(__file__).with_name("sandbox").read_text()
# By clause: the test that states it, and a sandbox with a fault that it shows.
FAULTS = {
    "sandbox.shm-size": ("has_its_size", SANDBOX.replace("size=1m", "size=4m")),
    "sandbox.no-new-privs": ("no_new_privileges", SANDBOX.replace("--no-new-privs ", "")),
    "sandbox.sysv-contained": ("sysv_objects_inside", SANDBOX.replace("--ipc ", "")),
    "sandbox.capabilities-dropped": ("capabilities_are", SANDBOX.replace("--bounding-set -all", "")),
    "sandbox.privileged-eperm": (
        "privileged_call",
        SANDBOX.replace("setpriv --no-new-privs --bounding-set -all --inh-caps -all", "env"),
    ),
}


@pytest.fixture
def verify(pytester):
    """Verify another sandbox in a pytest of its own."""

    def verify(sandbox: object, *selection: str) -> pytest.RunResult:
        arguments = ["-p", "no:cacheprovider", "-q", f"--rootdir={PROMISES.parent}", f"--sandbox={sandbox}"]
        return pytester.runpytest_subprocess(*arguments, PROMISES, *selection)

    return verify


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("clause", FAULTS)
def test_fault_is_found(verify, tmp_path, clause):
    test, script = FAULTS[clause]
    assert script != SANDBOX
    faulty = tmp_path / "faulty"
    faulty.write_text(script)
    faulty.chmod(0o755)
    result = verify(faulty, "-k", test)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{clause}*"])


def test_command_without_a_sandbox_breaks_the_promises(verify):
    result = verify("env", "-k", "namespaces_are or invisible or sysv_objects_inside")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 3 + 3 + 3 + 2
    assert "passed" not in outcomes


@pytest.mark.parametrize(
    ("command", "reason"), [("/no/sandbox", "cannot be started"), ("sh -c 'echo no >&2; exit 9'", "status 9: no")]
)
def test_sandbox_that_does_not_start_is_not_judged(verify, command, reason):
    result = verify(command, "-k", "no_new_privileges or has_its_size")
    result.assert_outcomes(skipped=2, deselected=29)
    result.stdout.fnmatch_lines([f"*SKIPPED*{reason}*"])


def test_manual_has_every_promise():
    manual = " ".join(PROMISES.with_name("README.md").read_text().split())
    tests = [test for name, test in vars(test_promises).items() if name.startswith("test_")]
    assert [test.__doc__ for test in tests if test.__doc__ not in manual] == []
