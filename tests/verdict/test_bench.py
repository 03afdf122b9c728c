"""pytest-ipc bench: what is measured, what is missing and why, interruptions, and the report."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from errno import ENOSPC, ENOSYS
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

from pytest_ipc.kernel import Deadline, msgctl_stat
from pytest_ipc.verdict.bench import bench_report, bench_terminal, byte_channels, pair
from pytest_ipc.verdict.bench.channel import Channel, End, NotMeasured, Setting
from pytest_ipc.verdict.bench.cpus import Pins
from pytest_ipc.verdict.bench.figures import Figure
from pytest_ipc.verdict.bench.mechanisms import MECHANISMS, Mechanism
from pytest_ipc.verdict.bench.process_costs import COSTS, Cost
from pytest_ipc.verdict.bench.sampling import FULL, QUICK, Bench, Missing, Plan
from pytest_ipc.verdict.command_error import CommandError

from ..subprocesses import Running
from .benchmarks import figure, report, validate, write

SHORT = Plan((1, 4096), 2, 0.001)
ANYWHERE = Pins(None, None, "not pinned", 2)
PIPE = next(mechanism for mechanism in MECHANISMS if mechanism.id == "pipe")
SIZES = (*FULL.sizes, *QUICK.sizes)


class Recorder:
    """A listener that keeps what it receives."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.reasons: list[Missing] = []

    def step(self, number: int, what: str) -> None:
        assert what
        self.steps.append(number)

    def measured(self, figure: Figure) -> None:
        assert figure.samples

    def missing(self, entry: Missing) -> None:
        self.reasons.append(entry)


def run(*mechanisms: Mechanism, costs: tuple[Cost, ...] = ()) -> tuple[Bench, Recorder]:
    listener = Recorder()
    bench = Bench(SHORT, listener, mechanisms, costs)
    bench.run()
    return bench, listener


def test_sizes_are_from_1_byte_to_16_mib():
    assert (min(SIZES), max(SIZES)) == (1, 16 << 20)


def test_every_mechanism_has_its_own_id():
    ids = [*(mechanism.id for mechanism in MECHANISMS), *(cost.id for cost in COSTS)]
    assert len({*ids}) == len(ids) == 16


def test_figures_of_a_mechanism():
    bench, listener = run(PIPE)
    assert [*bench.figures] == [
        (PIPE.id, quantity, size) for size in SHORT.sizes for quantity in ("latency", "bandwidth")
    ]
    for found in bench.figures.values():
        assert found.repetitions == 2
        assert found.low <= found.high
        assert found.floor > 0
    assert listener.steps == [*range(1, bench.steps + 1)]
    assert listener.reasons == []


def test_costs_of_processes():
    bench, _ = run(costs=COSTS)
    missing = {entry.mechanism for entry in bench.reasons.values()}
    assert {id for id, *_ in bench.figures} | missing == {"fork", "exec", "context-switch"}
    assert "fork" not in missing
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # every child has been waited for


def test_affinity_is_restored():
    before = os.sched_getaffinity(0)
    run(PIPE)
    assert os.sched_getaffinity(0) == before


def refuse(error: Exception) -> Any:
    def opening(_setting: Setting) -> NoReturn:
        raise error

    return opening


@pytest.mark.parametrize(
    ("error", "sizes"),
    [
        (OSError(ENOSYS, "mq_open: Function not implemented"), [1, 4096]),
        (OSError(ENOSPC, "No space left on device"), [1, 4096]),
        (NotMeasured("needs 2 CPUs", ends_all=True), [0]),
    ],
)
def test_missing_mechanism_has_its_reason_and_the_others_are_measured(error, sizes):
    bench, listener = run(Mechanism("broken", "broken", refuse(error)), PIPE)
    reason = str(error.strerror if isinstance(error, OSError) else error)
    assert [entry.size for entry in listener.reasons] == sizes  # once, not in each repetition
    assert all(reason in entry.reason for entry in listener.reasons)
    assert {id for id, *_ in bench.figures} == {"pipe"}


def with_peer(receive: Any) -> Any:
    """Return an opening of a pipe whose other process receives by *receive*."""

    def opening(setting: Setting) -> Channel:
        channel = byte_channels.open_pipe(setting)
        return replace(channel, peers=End(channel.peers.send, receive, channel.peers.received))

    return opening


def test_failure_in_the_other_process_is_the_reason():
    """As on a platform on which the last call of a mechanism is missing."""

    def receive() -> NoReturn:
        raise OSError(ENOSYS, "mq_receive: Function not implemented")

    with (
        pytest.raises(NotMeasured, match=r"in the receiving process: .*mq_receive: Function not implemented"),
        pair.new_pair(with_peer(receive), b"x", ANYWHERE, 60) as both,
    ):
        both.round_trips(1)


def test_message_that_never_comes_ends_the_mechanism():
    with (
        pytest.raises(NotMeasured, match=r"did not end within 0\.2 seconds") as caught,
        pair.new_pair(with_peer(signal.pause), b"x", ANYWHERE, 0.2) as both,
    ):
        both.round_trips(1)
    assert caught.value.ends_all


def test_timer_and_handler_of_others_are_restored():
    def handler(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGALRM, handler)
    timer = signal.setitimer(signal.ITIMER_REAL, 1000, 7)
    try:
        with pair.within(1):
            assert signal.getsignal(signal.SIGALRM) is not handler
        assert signal.getsignal(signal.SIGALRM) is handler
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 900 < left <= 1000
        assert interval == 7
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)


def test_objects_end_with_the_measurement():
    kept: list[int] = []

    def opening(setting: Setting) -> Channel:
        kept.append(setting.ipc.sysv_msg().id)
        return byte_channels.open_pipe(setting)

    bench, _ = run(Mechanism("pipe", "pipe", opening))
    assert bench.figures
    for id in kept:
        with pytest.raises(OSError, match="msgctl"):
            msgctl_stat(id)


@contextmanager
def one_cpu() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def test_one_cpu_is_named_and_polling_is_not_tried():
    polled = next(mechanism for mechanism in MECHANISMS if mechanism.id == "shm-polled")
    with one_cpu():
        bench, listener = run(polled, PIPE)
    assert "the only one" in bench.pins.said
    assert [(entry.size, entry.reason) for entry in listener.reasons] == [
        (0, "needs 2 CPUs: on one, a polling process keeps the other from running")
    ]
    assert ("pipe", "latency", 1) in bench.figures


def command(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "timeout": 110, "check": False} | options
    return subprocess.run([sys.executable, "-m", "pytest_ipc", "bench", *map(str, arguments)], **options)


def test_command_shows_and_writes_the_figures(tmp_path):
    done = command("--quick", "pipe", "eventfd", "--json", tmp_path / "r.json", "--name", "a box")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    for word in ("Round trip", "Bandwidth", "pipe", "context switch", "floor  an empty call (getppid)", "a box"):
        assert word in done.stdout
    assert "not measured  eventfd with 4 KiB, 64 KiB, 1 MiB: an eventfd carries one number, and no data" in done.stdout
    found = json.loads((tmp_path / "r.json").read_text())
    validate(found)
    assert found["name"] == "a box"
    assert {entry["mechanism"] for entry in found["figures"]} >= {"pipe", "eventfd", "fork"}
    assert bench_report.as_json(bench_report.read(tmp_path / "r.json")) == found


def test_queue_beyond_a_limit_is_named(tmp_path):
    """RLIMIT_MSGQUEUE of 0 as in a container that forbids POSIX queues; privileges do not matter for it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))

    done = command("--quick", "posix-queue", "pipe", "--json", tmp_path / "r.json", preexec_fn=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not measured  POSIX queue" in done.stdout
    found = json.loads((tmp_path / "r.json").read_text())
    assert {entry["mechanism"] for entry in found["missing"]} == {"posix-queue"}
    assert "pipe" in {entry["mechanism"] for entry in found["figures"]}


def test_size_beyond_a_limit_is_named_and_the_smaller_ones_are_measured(tmp_path):
    """RLIMIT_FSIZE stands for a small /dev/shm: there is no memory for three messages of 1 MiB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

    done = command("--quick", "shm-futex", "--json", tmp_path / "r.json", preexec_fn=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not measured  shared memory, futex with 1 MiB: " in done.stdout
    figures = json.loads((tmp_path / "r.json").read_text())["figures"]
    assert {entry["size"] for entry in figures if entry["mechanism"] == "shm-futex"} == {1, 4096, 65536}


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_reports_what_was_measured(tmp_path, signo):
    temp, runtime = tmp_path / "temp", tmp_path / "run"
    temp.mkdir()
    runtime.mkdir(mode=0o700)
    arguments = [sys.executable, "-m", "pytest_ipc", "bench", "--json", str(tmp_path / "r.json")]
    with Running(
        ["env", "--default-signal", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temp), "XDG_RUNTIME_DIR": str(runtime)},
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("47/"):  # a tenth of 470
                break
        running.send_signal(signo)
        said = running.stdout.read()
    assert running.returncode == 128 + signo
    assert "Interrupted: the figures so far." in said
    found = json.loads((tmp_path / "r.json").read_text())
    validate(found)
    assert found["conditions"]["interrupted"]
    assert found["figures"]
    assert Deadline(30).until(partial(is_tidy, temp, runtime)), [*tmp_path.rglob("*")]


def is_tidy(temp: Path, runtime: Path) -> bool:
    """Return whether nothing remains: no file, no ledger of an object."""
    return not [*temp.iterdir()] and not [path for path in runtime.rglob("*") if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pip"], "'pip' is not a mechanism; pytest-ipc bench --list shows them: shm-futex,"),
        (["--json", "/no/such/folder/r.json"], "cannot be written to /no/such/folder/r.json"),
        (["--compare", "/no/such.json"], "the report /no/such.json cannot be read: No such file"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(arguments, sentence):
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_list_shows_the_mechanisms():
    done = command("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [mechanism.id for mechanism in MECHANISMS]


FIGURES = (
    figure("shm-futex", "latency", 1, 8000, 8400, floor=1900, python=1000),
    figure("shm-futex", "latency", 4096, 9000, 20000),
    figure("pipe", "latency", 1, 7000, 7100, 7200, floor=800, python=140),
    figure("eventfd", "latency", 1, 30_000, 31_000),
    figure("inet", "latency", 1, 1100, 1110, floor=800, python=140),
    figure("pipe", "bandwidth", 4096, 1e9, 1.1e9),
    figure("fork", "duration", 0, 250_000, 251_000),
)
MISSING = (Missing("sysv-queue", 0, "msgget: Function not implemented"), Missing("eventfd", 4096, "carries no data"))


def shown(*reports: bench_report.BenchReport, width: int = 200) -> str:
    console = Console(width=width, force_terminal=False, highlight=False)
    with console.capture() as capture:
        if len(reports) == 1:
            bench_terminal.show_one(console, reports[0])
        else:
            bench_terminal.show_side_by_side(console, reports)
    return capture.get()


def test_table_of_given_figures():
    text = shown(report("box", *FIGURES, missing=MISSING))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "mechanism 1 B 4 KiB" in lines
    assert "shared memory, futex 8.20 µs ±2 % 14.5 µs noise" in lines
    assert "pipe 7.10 µs ±1 % -" in lines
    assert "TCP loopback 1.10 µs* ±0 % -" in lines  # empty calls take 0.8
    assert "pipe 1.05 GB/s ±5 %" in lines
    assert "fork, exit, wait 250 µs ±0 %" in lines
    assert "not measured System V queue: msgget: Function not implemented" in lines
    assert "not measured eventfd with 4 KiB: carries no data" in lines
    assert '"Shared memory is the fastest"  round trip, sleeping: does not hold for 1 B' in text
    assert "busy" not in text


def test_narrow_terminal_has_a_row_for_each_figure():
    more = [figure("pipe", "latency", size, 8000, 8100) for size in (64, 1024, 65536)]
    lines = [" ".join(line.split()) for line in shown(report("box", *FIGURES, *more), width=60).splitlines()]
    assert "pipe 1 B 7.10 µs ±1 %, p99 7.20 µs" in lines


def test_busy_machine_and_interruption_are_named():
    text = shown(report("box", *FIGURES, load=7.5, interrupted=True))
    assert "The machine was busy with other programs" in text
    assert "Interrupted: the figures so far." in text


def test_platforms_side_by_side():
    other = [figure("pipe", "latency", 1, 33_000, 34_000), figure("posix-queue", "latency", 1, 50_000, 51_000)]
    text = shown(report("host", *FIGURES, missing=MISSING), report("gvisor", *other))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "mechanism size host gvisor" in lines
    assert "pipe 1 B 7.10 µs ±1 % 33.5 µs ±1 %" in lines
    assert "POSIX queue 1 B - 50.5 µs ±1 %" in lines


def test_report_is_valid_and_is_read_as_it_was_written(tmp_path):
    written = report("box", *FIGURES, missing=MISSING)
    found = bench_report.as_json(written)
    validate(found)
    assert bench_report.read(write(tmp_path, written)) == written


def test_reason_is_kept_only_where_there_is_no_figure():
    missing = (Missing("pipe", 1, "failed once"), Missing("pipe", 64, "too small"), Missing("fork", 0, "failed once"))
    assert report("box", *FIGURES, missing=missing).missing == (Missing("pipe", 64, "too small"),)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": 2}, "the schema of .* must be 1, not 2"),
        ({"name": 7}, "a text must be a string, not 7"),
        ({"figures": [{"mechanism": "pipe"}]}, "'quantity' is missing"),
        ({"conditions": None}, "not a valid report"),
        ({"missing": [{"mechanism": "x", "size": "1", "reason": "y"}]}, "size must be of the type int, not '1'"),
    ],
)
def test_invalid_report_is_one_sentence(tmp_path, change, sentence):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(bench_report.as_json(report("box", *FIGURES)) | change))
    with pytest.raises(CommandError, match=sentence):
        bench_report.read(path)


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "is not JSON"), ("[]", "is not a report"), ("{}", "is not a report")]
)
def test_file_that_is_not_a_report(tmp_path, text, sentence):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(CommandError, match=sentence):
        bench_report.read(path)


def test_compare_shows_reports(tmp_path):
    paths = [write(tmp_path, report(name, *FIGURES)) for name in ("host", "box")]
    done = command("--compare", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert "host" in done.stdout
    assert "box" in done.stdout
    assert "measurements" not in done.stdout
