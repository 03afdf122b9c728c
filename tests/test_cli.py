"""The command pytest-ipc as a user types it: what it says, what it writes, and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pytest_ipc
from pytest_ipc import cli
from pytest_ipc.kernel import Deadline

from .subprocesses import Running
from .verdict.reports import DEVIATES, validate, write

Done = subprocess.CompletedProcess[str]


def command(*arguments: str | Path, **options) -> Done:
    options = {"capture_output": True, "text": True, "timeout": 110, "check": False} | options
    return subprocess.run([sys.executable, "-m", "pytest_ipc", *map(str, arguments)], **options)


def test_help_teaches():
    top, check = command("--help"), command("check", "--help")
    assert "check" in top.stdout
    for word in ("holds", "deviates", "disputed", "absent", "untested", "exit status", "unshare -i", "--shuffle"):
        assert word in check.stdout


def test_version():
    assert command("--version").stdout == f"pytest-ipc {pytest_ipc.__version__}\n"


# The state directories of other runs are not looked at: what is in them is not this test's.
LIGHT = """
import sys
from pytest_ipc.custody import state_paths
state_paths.SHARED, state_paths.RUNTIME = (), ()
from pytest_ipc.cli import main

try:
    status = main(sys.argv[1:])
except SystemExit as error:
    status = error.code
print("loaded:", sorted({"pytest", "_pytest", "hypothesis", "xdist"} & sys.modules.keys()))
sys.exit(status)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "sweep --dry-run",
        "status",
        "check --list fifo",
        "platform",
        "platform REPORT",
        "badge REPORT",
        "expect REPORT",
        "compare REPORT",
        "bench --list",
        "bench pipe --quick",
    ],
)
def test_command_without_clauses_does_not_import_pytest(tmp_path, arguments):
    report = write(tmp_path, "box", {"shmget.a": DEVIATES})
    words = [str(report) if word == "REPORT" else word for word in arguments.split()]
    tmp_path.chmod(0o700)
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_the_names_of_the_clauses():
    done = command("check", "--list", "shmdt.*")
    assert done.returncode == 0
    assert "shm        shmdt.einval-not-attached\n" in done.stdout
    assert all(line.startswith("shm        shmdt.") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "arguments are required: COMMAND"),
        (["chekc"], "invalid choice"),
        (
            ["check", "shn"],
            "'shn' is not a mechanism, a call, a manual page, a clause or a pattern of clauses; did you",
        ),
        (["check", "xyzzy"], "; the mechanisms are "),
        (["check", "shm", "shmget.no-such-clause"], "'shmget.no-such-clause' is not a mechanism"),
        (["check", "shmget.excl"], "did you mean shmget.excl-"),
        (["check", "mqsend"], "did you mean mq_send"),
        (["check", "mq_send(2)"], "did you mean mq_send(3)"),
        (["check", "--expect", "gvisor-2022121"], "did you mean gvisor-20221219?"),
        (["check", "--durations", "-1"], "must be a non-negative number, not '-1'"),
        (["check", "--junit", "/no/such/folder/r.xml"], "cannot be written to /no/such/folder/r.xml"),
        (["check", "-n", "many"], "must be 0 (this process), a larger number, auto or logical, not 'many'"),
        (["check", "-n", "-1"], "-1"),
        (["check", "--shuffle", "abc", "shm"], "invalid int value: 'abc'"),
        (["check", "--no-such-option"], "unrecognized arguments"),
        (["check", "--report", "/no/such/folder/r.json"], "cannot be written to /no/such/folder/r.json"),
        (["check", "--report", "/"], "cannot be written to /"),
        (
            ["check", "--expect", "/no/such.toml"],
            "No such file or directory; `pytest-ipc expect REPORT -o /no/such.toml` writes it",
        ),
        (["check", "--strict-expect"], "--strict-expect needs --expect"),
        (["check", "--annotations", "gitlab"], "invalid choice: 'gitlab'"),
        (["expect"], "the following arguments are required: REPORT"),
        (["expect", "/no/such.json"], "the report /no/such.json cannot be read: No such file"),
        (["check", "--name", " "], "the name of a platform must have 1 to 100 printable characters, not ' '"),
        (["check", "--name", "a\nb"], "must have 1 to 100 printable characters"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(arguments, sentence):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert sentence in last
    assert "Traceback" not in done.stderr


def test_comparing_needs_the_extra_too():
    main = "from pytest_ipc.cli import main; sys.exit(main(['compare', 'x']))"
    code = f"import sys; sys.modules['rich.console'] = None; {main}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "pytest-ipc: pytest-ipc compare needs rich.console: pip install 'pytest-ipc[conformance]'\n"


def test_a_missing_extra_is_named():
    code = "import sys; sys.modules['xdist'] = None; from pytest_ipc.cli import main; sys.exit(main(['check', 'shm']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "pytest-ipc: pytest-ipc check needs the packages of its extra (xdist is missing): "
        "pip install 'pytest-ipc[conformance]'\n"
    )


def test_other_system_is_reported():
    code = "import sys; sys.platform = 'darwin'; from pytest_ipc.cli import main; sys.exit(main(['check']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "pytest-ipc: the suite describes Linux, and this system is darwin\n"


def test_the_verdict_on_a_part(tmp_path):
    done = command("check", "shmdt.*", "--report", tmp_path / "r.json", "--name", "a box", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for word in (
        "kernel",
        "libc",
        "page",
        "capabilities",
        "namespaces",
        "limits",
        "checking",
        "mechanism",
        "This platform",
    ):
        assert word in done.stdout
    assert os.listdir(tmp_path) == ["r.json"]
    report = json.loads((tmp_path / "r.json").read_text())
    validate(report)
    assert (report["name"], report["exit_status"], report["broken"]) == ("a box", 0, [])
    ids = [clause["id"] for clause in report["clauses"]]
    assert ids == sorted(ids)
    assert all(id.startswith("shmdt.") for id in ids)
    assert {clause["verdict"] for clause in report["clauses"]} == {"holds"}


def test_a_report_replaces_the_old_one_whole(tmp_path):
    report = tmp_path / "r.json"
    report.write_text("old")
    assert command("check", "nothing", "--report", report).returncode == 2
    assert report.read_text() == "old"
    assert command("check", "shmdt.einval-unaligned", "--report", report).returncode == 0
    assert json.loads(report.read_text())["clauses"][0]["id"] == "shmdt.einval-unaligned"


@pytest.mark.parametrize(
    ("name", "page"), [("mq_send", "mq_send(3)"), ("mq_send()", "mq_send(3)"), ("mq_overview(7)", "mq_overview(7)")]
)
def test_call_and_manual_page_select_their_clauses(name, page):
    lines = command("check", "--list", "-v", name).stdout.splitlines()
    assert lines
    call = page.partition("(")[0]
    for clause, text in zip(lines[::2], lines[1::2], strict=True):
        assert f" {call}." in clause or text.strip().startswith(f"{page}, ")


def test_mechanism_goes_before_a_call_of_the_same_name():
    lines = command("check", "--list", "pipe").stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"pipe"}


def test_every_file_of_a_check_is_written_in_one_run(tmp_path):
    files = {f"--{name}": tmp_path / name for name in ("report", "junit", "ctrf", "markdown")}
    done = command("check", "shmdt.*", *(word for pair in files.items() for word in pair), "--durations", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ElementTree.parse(files["--junit"]).getroot()[0].get("failures") == "0"
    assert json.loads(files["--ctrf"].read_text())["results"]["summary"]["failed"] == 0
    assert files["--markdown"].read_text().startswith("## Linux IPC conformance\n")
    lines = done.stdout.splitlines()
    assert lines[-1] == f"written: {', '.join(map(str, files.values()))}"
    slow = lines.index("slowest clauses")
    assert all(" s  shmdt." in line for line in lines[slow + 1 : slow + 3])
    assert re.fullmatch(r"6 clauses in \d+\.\d s", lines[slow + 3])


def test_expectations_decide_the_exit_status(tmp_path):
    known = tmp_path / "known.toml"
    known.write_text(
        '[deviates]\n"shmdt.einval-unaligned" = "issue 1"\n"shmget.private-always-new" = "not asked for"\n'
    )
    check = ("check", "shmdt.einval-unaligned", "--expect", known)
    done = command(*check)
    assert done.returncode == 0, done.stderr
    assert "unexpectedly holds shmdt.einval-unaligned was expected to deviate (issue 1)" in done.stdout
    assert "not asked for" not in done.stdout
    assert command(*check, "--strict-expect").returncode == 1
    known.write_text('[deviates]\n"shmdt.no-such-clause" = "issue 1"\n')
    done = command(*check, "--report", tmp_path / "r.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"pytest-ipc: {known} expects 'shmdt.no-such-clause', which is not a clause of this suite\n"
    assert not (tmp_path / "r.json").exists()


def test_github_annotations_are_written(tmp_path):
    known = tmp_path / "known.toml"
    known.write_text('[deviates]\n"shmdt.einval-unaligned" = "issue 1"\n')
    check = ("check", "shmdt.einval-unaligned", "--expect", known)
    environment = os.environ | {"GITHUB_ACTIONS": "true"}
    line = "::warning title=shmdt.einval-unaligned unexpectedly holds::expected: deviates, issue 1"
    assert line in command(*check, env=environment).stdout.splitlines()
    assert line not in command(*check, "--annotations", "none", env=environment).stdout.splitlines()


def test_closed_output_ends_the_command_quietly():
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Running(
        [sys.executable, "-m", "pytest_ipc", "check", "--list", "fifo"],  # less than a buffer holds
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()  # before it has written anything
        assert not running.stderr.read()
    assert running.returncode == 141


@pytest.mark.timeout(400)  # it runs a tenth of the suite, which takes a minute on a loaded machine
@pytest.mark.parametrize(
    ("signo", "processes"), [(signal.SIGTERM, "0"), (signal.SIGTERM, "2"), (signal.SIGHUP, "0"), (signal.SIGINT, "0")]
)
def test_signal_ends_a_check_with_a_partial_report(tmp_path, signo, processes):
    temp, runtime = tmp_path / "temp", tmp_path / "run"
    temp.mkdir()
    runtime.mkdir(mode=0o700)
    command = [sys.executable, "-m", "pytest_ipc", "check", "-n", processes, "--report", str(tmp_path / "r.json")]
    with Running(
        ["env", "--default-signal", *command],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temp), "XDG_RUNTIME_DIR": str(runtime)},
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if " clauses: " in line:  # a tenth of them
                break
        running.send_signal(signo)
        said = running.stdout.read()
    assert running.returncode == 128 + signo
    assert "Interrupted after " in said
    report = json.loads((tmp_path / "r.json").read_text())
    validate(report)
    assert (report["exit_status"], report["broken"]) == (128 + signo, [])
    assert 100 < len(report["clauses"]) < 1800  # of 1851
    assert Deadline(30).until(partial(is_tidy, tmp_path)), list(tmp_path.rglob("*"))


def test_closed_output_does_not_prevent_the_report(tmp_path):
    report = tmp_path / "r.json"
    with Running(
        [sys.executable, "-m", "pytest_ipc", "check", "shmdt.*", "--report", report],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141
    assert json.loads(report.read_text())["exit_status"] == 0


def test_several_expectations_add_up_and_the_last_counts(tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('[untested]\n"shmdt.einval-unaligned" = "one"\n[deviates]\n"shmdt.einval-not-attached" = "one"\n')
    second.write_text('[deviates]\n"shmdt.einval-unaligned" = "two"\n')
    done = command("check", "shmdt.einval-*", "--expect", first, "--expect", second)
    assert done.returncode == 0, done.stderr
    assert "shmdt.einval-unaligned was expected to deviate (two)" in done.stdout
    assert "shmdt.einval-not-attached was expected to deviate (one)" in done.stdout
    done = command("check", "shmdt.einval-*", "--expect", second, "--expect", first, "--expect", "gvisor-20221219")
    assert "shmdt.einval-unaligned was expected to be untested (one)" in done.stdout


CHECK_ALONE = """
import subprocess, sys
from pathlib import Path
from pytest_ipc.kernel import CLONE_NEWIPC, unshare

try:
    unshare(CLONE_NEWIPC)  # all objects in it are the check's
except OSError:
    rows = None
else:
    rows = Path("/proc/sysvipc/shm")
status = subprocess.call([sys.executable, "-m", "pytest_ipc", "check", *sys.argv[1:]])
if rows and rows.exists():
    print("segments left:", rows.read_text().splitlines()[1:])
sys.exit(status)
"""


@pytest.mark.timeout(900)  # it runs the suite twice
def test_every_way_to_run_gives_the_same_verdict(tmp_path):
    """Serial, distributed, shuffled: one verdict; and the machine is as it was."""
    verdicts = []
    for number, options in enumerate(([], ["-n", "2", "--shuffle", "2"])):
        report, room = tmp_path / f"{number}.json", tmp_path / f"room{number}"
        for name in ("tmp", "run"):
            (room / name).mkdir(parents=True, mode=0o711)
        environment = os.environ | {"TMPDIR": str(room / "tmp"), "XDG_RUNTIME_DIR": str(room / "run")}
        done = subprocess.run(
            [sys.executable, "-c", CHECK_ALONE, *options, "--report", report],
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "segments left: []" in done.stdout or "segments left" not in done.stdout
        # The reaper removes the leftovers of a child's children, a moment after the run.
        assert Deadline(30).until(partial(is_tidy, room)), list(room.rglob("*"))
        verdicts.append({found["id"]: found["verdict"] for found in json.loads(report.read_text())["clauses"]})
    for found in verdicts[1:]:
        assert dict(found.items() ^ verdicts[0].items()) == {}
    assert len(verdicts[0]) > 100


def is_tidy(room: Path) -> bool:
    return not [path for path in room.rglob("*") if path.name.startswith("pytest-ipc-") or path.suffix == ".ledger"]


@pytest.mark.parametrize(("text", "status"), [("", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_interrupted_command_is_one_sentence(monkeypatch, capsys, text, status):
    def interrupted(_options):
        raise KeyboardInterrupt(text)

    monkeypatch.setattr("pytest_ipc.verdict.commands.status._run", interrupted)
    assert cli.main(["status"]) == status
    assert capsys.readouterr() == ("", "pytest-ipc: interrupted\n")
