"""Programs: started as from a shell, observed, their output complete, and ended with everything below them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from pytest_ipc import ChildDied, Program
from pytest_ipc.kernel import Deadline, proc, shmget
from pytest_ipc.processes.output import KEPT

PYTHON = sys.executable


def python(spawn, source: str, *arguments: str, **options) -> Program:
    program: Program = spawn([PYTHON, "-u", "-c", source, *arguments], **options)
    return program


def test_output_and_status_are_the_program_s(spawn):
    program = spawn(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert program.wait() == 7
    assert (program.returncode, program.stdout, program.stderr) == (7, "out\n", "err\n")


def test_a_signal_that_ends_it_is_a_negative_status(spawn):
    program = spawn(["sleep", "100"])
    assert program.returncode is None
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM


def test_arguments_environment_and_directory(spawn, tmp_path):
    source = "import os, sys; print(sys.argv[1], os.getcwd(), sorted(os.environ))"
    program = python(spawn, source, "é", env={"A": "1", "PYTHONIOENCODING": "utf-8"}, cwd=tmp_path)
    program.wait()
    assert program.stdout.startswith(f"é {tmp_path} ['A', ")


@pytest.mark.parametrize(
    ("argv", "cwd", "error"),
    [
        (["/no/such/program"], None, FileNotFoundError),
        (["no-such-program-in-path"], None, FileNotFoundError),
        (["/etc/passwd"], None, PermissionError),
        (["true"], "/no/such/folder", FileNotFoundError),
        (["/dev"], None, PermissionError),
    ],
)
def test_failed_execve_is_raised(spawn, argv, cwd, error):
    with pytest.raises(error) as caught:
        spawn(argv, cwd=cwd)
    assert caught.value.filename == (cwd or argv[0])


def test_a_file_that_is_not_a_program_is_an_error(spawn, tmp_path):
    path = tmp_path / "text"
    path.write_text("no program")
    path.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        spawn([path])


@pytest.mark.parametrize(
    ("argv", "options", "error"),
    [
        ("ls -l", {}, TypeError),
        ([], {}, TypeError),
        (["ls"], {"signals": "none"}, ValueError),
        (["ls"], {"stdin": "text"}, TypeError),
    ],
)
def test_wrong_arguments_start_nothing(spawn, argv, options, error):
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(error):
        spawn(argv, **options)
    assert set(os.listdir("/proc/self/fd")) == before


def test_signals_are_as_from_a_shell(spawn, signals):
    signals.block(signal.SIGUSR1)
    status = ["grep", "-E", "SigIgn|SigBlk", "/proc/self/status"]
    program = spawn(status)
    program.wait()
    # Two signals are glibc's own (nptl(7)): its posix_spawn(3), by which a pytest-xdist worker may have been started,
    # leaves them ignored, and a program sets them when it starts a thread.
    libcs_own = 1 << 32 - 1 | 1 << 33 - 1
    assert [int(line.split()[1], 16) & ~libcs_own for line in program.stdout.splitlines()] == [0, 0]
    inherited = spawn(status, signals="inherit")
    inherited.wait()
    blocked, ignored = (int(line.split()[1], 16) for line in inherited.stdout.splitlines())
    assert blocked >> (signal.SIGUSR1 - 1) & 1
    assert ignored >> (signal.SIGPIPE - 1) & 1


def test_standard_input(spawn):
    given = spawn(["cat"], stdin=b"x" * 1_000_000)
    assert given.wait() == 0
    assert given.stdout_bytes == b"x" * 1_000_000
    empty = spawn(["cat"])
    assert (empty.wait(), empty.stdout) == (0, "")
    piped = spawn(["cat"], stdin=subprocess.PIPE)
    piped.write(b"one\n")
    piped.wait_for_output("^one$")
    assert piped.alive
    piped.close_stdin()
    assert piped.wait() == 0
    with pytest.raises(ValueError, match="no standard input to write to"):
        given.write(b"")


def test_descriptors_are_passed_and_others_are_not(spawn, pipe):
    ends = pipe()
    source = "import os, sys\nos.write(int(sys.argv[1]), b'hi')\nprint(*os.listdir('/proc/self/fd'))"
    program = python(spawn, source, str(ends.write_fd), pass_fds=[ends.write_fd])
    assert program.wait() == 0
    assert ends.read(2) == b"hi"
    assert {int(fd) for fd in program.stdout.split()} == {0, 1, 2, 3, ends.write_fd}  # 3 is the listing's own
    bare = spawn(["ls", "/proc/self/fd"])
    bare.wait()
    assert [int(fd) for fd in bare.stdout.split()] == [0, 1, 2, 3]  # 3 is ls's own


def test_it_waits_for_output(spawn):
    program = python(
        spawn,
        "import time\nprint('port 4711')\nprint('ready', file=sys.stderr)\ntime.sleep(100)".replace(
            "import time", "import sys, time"
        ),
    )
    assert program.wait_for_output(r"port (\d+)")[1] == "4711"
    program.wait_for_output("ready", stream="stderr")
    with pytest.raises(
        TimeoutError,
        match=r"waited 0.05 s for <program \d+ \(.*\)> to write 'never' to its stdout; its output was:\nport 4711",
    ):
        program.wait_for_output("never", timeout=0.05)


def test_wait_for_output_ends_with_the_program(spawn):
    program = spawn(["sh", "-c", "echo other; exit 3"])
    with pytest.raises(
        ChildDied, match=r"to write 'ready' to its stdout, but it exited with status 3\nits output was:\nother"
    ) as caught:
        program.wait_for_output("ready")
    assert caught.value.status == 3


def test_it_waits_for_a_call_and_a_state(spawn):
    program = spawn(["sleep", "100"])
    program.wait_blocked("nanosleep" if "nanosleep" in proc.doing(program.pid) else None)
    program.signal(signal.SIGSTOP)
    assert program.wait_state("T") == "T"
    with pytest.raises(TimeoutError, match="in state T"):
        program.wait(timeout=0.05)


def test_a_wait_that_the_program_s_end_disappoints_shows_its_output(spawn):
    program = spawn(["sh", "-c", "echo why >&2; exit 4"])
    with pytest.raises(ChildDied, match=r"it exited with status 4\nits error output was:\nwhy"):
        program.wait_blocked("semop")


def test_it_waits_for_a_condition(spawn, tmp_path):
    program = python(spawn, "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(100)", str(tmp_path / "pid"))
    assert program.wait_for((tmp_path / "pid").exists)
    ended = spawn(["true"])
    with pytest.raises(ChildDied, match="but it exited with status 0"):
        ended.wait_for(lambda: False)


def test_terminate_gives_it_time_to_clean_up(spawn):
    source = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('ready')\ntime.sleep(100)"
    )
    program = python(spawn, source)
    program.wait_for_output("ready")
    assert program.terminate(grace=60) == 5


def test_ended_program_keeps_its_status(spawn):
    program = spawn(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    program.wait_for_output("ready")
    assert program.terminate(grace=0.05) == -signal.SIGKILL
    assert (program.terminate(), program.wait(), program.returncode) == (-signal.SIGKILL,) * 3
    with pytest.raises(ProcessLookupError, match="has ended"):
        program.signal(signal.SIGTERM)


def test_a_program_that_ends_at_once_has_its_status(spawn):
    for _ in range(20):
        assert spawn(["false"]).wait() == 1


def test_error_before_execve_is_raised(spawn):
    with pytest.raises(ValueError, match="must not contain a NUL"):
        spawn(["true", "a\0b"])
    with pytest.raises(FileNotFoundError) as caught:
        spawn(["true"], cwd="/no/" + "x" * 200)
    assert caught.value.filename == "/no/" + "x" * 200


def test_terminate_kills_a_program_that_ignores_sigterm(spawn):
    program = python(
        spawn, "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(100)"
    )
    program.wait_for_output("ready")
    assert program.terminate(grace=0.05) == -signal.SIGKILL


def test_everything_below_it_ends_with_it(spawn):
    source = "import os, subprocess, sys\np = subprocess.Popen(['setsid', 'sleep', '100'])\nprint(p.pid)\np.wait()"
    program = python(spawn, source)
    pid = int(program.wait_for_output(r"^(\d+)$")[1])
    program.wait_for(lambda: [child.pid for child in program.children()] == [pid])
    program.close()
    assert proc.process_state(pid) is None
    assert program.closed


def test_a_stopped_program_ends(spawn):
    program = spawn(["sleep", "100"])
    program.signal(signal.SIGSTOP)
    program.wait_state("T")
    program.close()
    assert proc.process_state(program.pid) is None


def test_a_flood_of_output_does_not_block_it(spawn):
    program = spawn(["sh", "-c", "head -c 50000000 /dev/zero"])
    assert program.wait(timeout=60) == 0
    assert len(program.stdout_bytes) == 50_000_000


def test_a_longer_output_is_complete_at_both_ends(spawn):
    program = spawn(["sh", "-c", "echo first; yes | head -c 200000000; echo last"])
    deadline = Deadline(60)
    while program.alive:  # while it is looked at, what is dropped takes no memory
        assert used(program) <= 3 * KEPT
        assert not deadline.passed
    assert program.wait() == 0
    said = re.compile(
        rb"\n\[\xe2\x80\xa6 (\d+) bytes of 200000011 were dropped: only 67108864 are kept \xe2\x80\xa6\]\n"
    )
    before, dropped, after = said.split(program.stdout_bytes)
    assert before.startswith(b"first\ny\ny\n")
    assert after.endswith(b"y\ny\nlast\n")
    assert len(before) + int(dropped) + len(after) == 200_000_011
    assert used(program) <= 2 * KEPT
    assert program.stdout == program.stdout_bytes.decode()


def used(program: Program) -> int:
    return os.fstat(program._child._files[0]).st_blocks * 512


def test_a_flood_ends_in_the_report(pytester):
    """`yes` writes a gigabyte per second, and the test does not look."""
    pytester.makepyfile(
        """
        import os

        def test_it(ipc):
            program = ipc.spawn(["yes"])
            loud = ipc.fork(os.execvp, "yes", ["yes"])
            for each in (program._child._files[0], loud._output._fd):
                ipc.wait_until(lambda: os.fstat(each).st_size > 500_000_000, timeout=100)
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    lines = result.stdout.lines
    assert len([line for line in lines if re.fullmatch(r"\[… \d{9,} bytes …\]", line)]) == 2
    assert len(lines) < 200_000


def test_output_that_never_matches_does_not_delay_the_timeout(spawn):
    program = spawn(["yes"])
    with pytest.raises(TimeoutError, match="waited 1 s for"):
        program.wait_for_output("never", timeout=1)
    program.close()


def test_a_match_after_a_flood_is_found(spawn):
    program = spawn(["sh", "-c", "yes | head -c 150000000; echo ready; exec sleep 100"])
    assert program.wait_for_output("^ready$", timeout=60)
    assert program.wait_for_output("^y$")


def test_its_files_maps_limits_and_objects(spawn, sysv_shm, tmp_path):
    segment = sysv_shm()
    source = """
import os, sys, time
from pytest_ipc.kernel import shmat
file = open(sys.argv[2])
shmat(int(sys.argv[1]))
print("ready")
time.sleep(100)
"""
    (tmp_path / "file").touch()
    program = python(spawn, source, str(segment.id), str(tmp_path / "file"))
    program.wait_for_output("ready", timeout=60)
    assert str(tmp_path / "file") in program.open_files().values()
    assert any(each.path.startswith("/SYSV") and each.shared for each in program.maps())
    assert program.limits()["Max open files"][0] == os.sysconf("SC_OPEN_MAX")
    assert program.ipc_objects().segments == {segment.id}


def test_its_output_is_in_the_report_of_a_failing_test(pytester):
    pytester.makepyfile(
        """
        def test_it(spawn):
            spawn(["sh", "-c", "echo from-out; echo from-err >&2"]).wait()
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*Captured stdout call*", "from-out", "*Captured stderr call*", "from-err"])


def test_it_dies_with_a_pytest_that_is_killed(pytester):
    pytester.makepyfile(
        """
        import os, signal
        def test_it(spawn):
            program = spawn(["sleep", "1000"])
            with open("pid", "w") as file:
                file.write(str(program.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider")
    pid = int((pytester.path / "pid").read_text())
    assert Deadline(30).until(lambda: (state := proc.process_state(pid)) is None or state.state in "ZX")


def test_any_process_can_be_observed(ipc):
    process = subprocess.Popen(["sleep", "100"])
    try:
        observed = ipc.observe(process.pid)
        observed.wait_blocked()
        assert observed.alive
        assert observed.command == "sleep"
        assert observed.children() == []
        observed.signal(signal.SIGSTOP)
        assert observed.wait_state("T") == "T"
        with pytest.raises(TimeoutError, match=r"waited 0.01 s for .* to end; it was in state T"):
            observed.wait(timeout=0.01)
        observed.signal(signal.SIGKILL)
        observed.wait()
    finally:
        process.kill()
        process.wait()
    with pytest.raises(ProcessLookupError):
        ipc.observe(process.pid)
    with pytest.raises(ProcessLookupError):
        observed.signal(0)


def test_wait_until_returns_the_value_or_shows_the_last(ipc):
    values = iter([0, 0, 5])
    assert ipc.wait_until(lambda: next(values)) == 5

    def ready() -> bool:
        assert shmget is None, "not there yet"
        return True

    with pytest.raises(TimeoutError, match=r"waited 0.01 s for ready\(\); the last failure was: not there yet"):
        ipc.wait_until(ready, timeout=0.01)
    with pytest.raises(TimeoutError, match=r"the last value was \[\]"):
        ipc.wait_until(list, timeout=0.01)
