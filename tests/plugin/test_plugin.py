"""The plugin: what pytest shows of it, what it costs where it is not used, and that it needs no other plugin."""

from __future__ import annotations

import re
import sys

import pytest

from pytest_ipc.custody.identity import Process

FIXTURES = {
    "ipc_scope": "Own the objects and processes that a test creates",
    "ipc": "Create IPC objects and processes, released with the test: ipc.sysv_shm(",
    "ipc_class": "Create IPC objects as ipc does, for all tests of a class",
    "ipc_module": "Create IPC objects as ipc does, for all tests of a module",
    "ipc_package": "Create IPC objects as ipc does, for all tests of a package",
    "ipc_session": "Create IPC objects as ipc does, for all tests of a run",
    "sysv_shm": "Create System V shared memory: sysv_shm(size=4096",
    "posix_shm": "Create POSIX shared memory: posix_shm(size=4096",
    "mapped_file": "Map files into memory: mapped_file(size=4096",
    "sysv_sem": "Create System V semaphores: sysv_sem(count=1",
    "posix_sem": "Create POSIX semaphores: posix_sem(value=0",
    "posix_mq": "Create POSIX message queues: posix_mq(",
    "sysv_msg": "Create System V message queues: sysv_msg(",
    "pipe": "Create pipes: pipe(",
    "fifo": "Create FIFOs: fifo(",
    "file_lock": "Lock files: file_lock(path=None",
    "eventfd": "Create event counters: eventfd(value=0",
    "timerfd": "Create timers with a descriptor: timerfd(clock=",
    "futex": "Create futex words in memory shared with children",
    "sockets": "Create sockets: sockets.pair(type=SOCK_STREAM)",
    "two_hosts": "Create two network namespaces with a veth pair",
    "spawn": "Start programs",
    "signals": "Change signal dispositions and mask",
    "fork": "Run functions in forked children: fork(function",
    "ipc_namespace": "Create IPC namespaces with their own limits: ipc_namespace(",
}
ALL = """
    import os

    def test_all(
        sysv_shm, sysv_sem, sysv_msg, posix_shm, posix_sem, posix_mq, mapped_file, pipe, fifo, signals, fork, tmp_path
    ):
        segment, ends, made = sysv_shm(), pipe(), fifo()
        shared, mapping = posix_shm(), mapped_file()
        segment.attach().buf[0] = 7
        sysv_sem().release()
        posix_sem().post()
        posix_mq(maxmsg=1, msgsize=8).send(b"unread")
        sysv_msg().send(b"unread")
        caught = signals.catch(10)

        def life():
            print("from the child")
            os.write(ends.write_fd, b"x")
            return segment.attachments[0].buf[0]

        assert fork(life).result() == 7
        assert ends.read() == b"x"
        blocked = fork(os.open, made.path, os.O_RDONLY)
        blocked.wait_blocked("open")
        (tmp_path.parent / "made").write_text(f"{segment.id} {made.path} {shared.name} {mapping.path} {blocked.pid}")

    def test_gone(tmp_path):
        from pytest_ipc import fails_with
        from pytest_ipc.kernel import process_state, shmctl_stat

        note = tmp_path.parent / "made"
        if not note.exists():
            return  # the other worker has it
        shmid, path, name, mapped, pid = note.read_text().split()
        with fails_with(22, 43):
            shmctl_stat(int(shmid))
        assert not any(map(os.path.lexists, [path, mapped, f"/dev/shm{name}"]))
        assert process_state(int(pid)) is None
"""


def test_the_fixtures_are_listed_with_their_help(pytester):
    result = pytester.runpytest_subprocess("--fixtures", "-p", "no:cacheprovider")
    text = result.stdout.str()
    for name, help_text in FIXTURES.items():
        assert re.search(rf"^{name}( \[\w+ scope\])? -- ", text, re.MULTILINE), name
        assert help_text in text


def test_the_marker_is_listed(pytester):
    result = pytester.runpytest_subprocess("--markers", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.ipc_clause(id, page, section, errno=None, since=None, disputed=None, level=None): *"]
    )


@pytest.mark.parametrize(
    "how",
    [
        [],
        ["-p", "no:terminal"],
        ["-s"],
        ["--capture=sys"],
        ["-p", "no:capture"],
        ["-n", "2"],
        ["-p", "no:xdist", "-p", "no:timeout"],
        ["--strict-markers", "-W", "error"],
        ["-p", "no:faulthandler", "-p", "no:assertion", "-p", "no:logging", "-p", "no:junitxml"],
        ["--assert=plain", "--import-mode=importlib"],
    ],
    ids=lambda how: " ".join(how) or "plain",
)
def test_it_works_with_other_plugins_there_or_not(pytester, how):
    pytester.makepyfile(ALL)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *how)
    assert result.ret == 0
    if "no:terminal" not in how:
        result.assert_outcomes(passed=2)


UNUSED = """
    import sys

    def test_nothing_was_loaded():
        modules = {name for name in sys.modules if name.startswith("pytest_ipc")}
        assert len(modules) <= LIMIT, modules
        assert "ctypes" not in sys.modules or "ctypes" in sys.modules["conftest"].before
"""


@pytest.mark.parametrize("how", [[], ["-n", "1"]], ids=["alone", "worker"])
@pytest.mark.parametrize("neighbour", [False, True])
def test_run_without_ipc_loads_few_modules(pytester, monkeypatch, how, neighbour):
    """Of a neighbour that runs its ledger's name says enough."""
    home = pytester.path / "pytest-ipc"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(pytester.path))
    if neighbour:
        process = Process.current()
        (home / f"{process.pid}-{process.start}.ledger").touch(mode=0o600)
    pytester.makepyfile(UNUSED.replace("LIMIT", "8"))
    pytester.makeconftest(
        """
        import sys
        from pytest_ipc.custody import state_paths

        state_paths.SHARED = state_paths.RUNTIME = ()  # # leftovers of other runs there would be swept
        before = set(sys.modules)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *how)
    result.assert_outcomes(passed=1)


def test_it_alone_loads_no_ctypes(program):
    program(
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import pytest_ipc.plugin.hooks, pytest_ipc.plugin.fixtures\n"
        "assert not {'ctypes', 'pytest_ipc.api'} & (set(sys.modules) - before)\n"
        "print(sorted(set(sys.modules) - before))\n"
    )


def test_failed_release_is_reported_at_tear_down(pytester):
    pytester.makepyfile(
        """
        import os

        def test_one(pipe):
            os.close(pipe().read_fd)

        def test_several(pipe, fork):
            for _ in range(2):
                os.close(pipe().read_fd)
            test_several.child = fork(os.getpid)

        def test_the_rest_was_ended():
            assert test_several.child.closed
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_one*",
            "E*OSError: [[]Errno 9[]] Bad file descriptor",
            "*ERROR at teardown of test_several*",
            "*ExceptionGroup: 2 resources could not be released (2 sub-exceptions)",
        ]
    )


def test_fixtures_fail_on_other_systems_with_one_sentence(pytester):
    pytester.makeconftest(
        """
        import sys
        import pytest

        @pytest.fixture(autouse=True)
        def elsewhere(monkeypatch):
            monkeypatch.setattr(sys, "platform", "darwin")
        """
    )
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("name", {list(FIXTURES)})
        def test_fixture(request, elsewhere, name):
            request.getfixturevalue(name)

        def test_other():
            import pytest_ipc
            assert pytest_ipc.__version__
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=len(FIXTURES))
    reported = "\nthe fixtures of pytest-ipc need Linux, not darwin\n"
    assert result.stdout.str().count(reported) == len(FIXTURES)
    result.stdout.no_fnmatch_line("*Traceback*")


def test_expired_timeout_is_reported_once(pytester):
    """pytest-timeout's SIGALRM has been seen by its owner: putting signals back must not send it a second time."""
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    pytester.makepyfile(
        """
        import signal
        import pytest

        @pytest.mark.timeout(2, method="signal")  # setting up counts in, on a loaded machine too
        def test_hangs(signals, pipe):
            signals.catch(signal.SIGUSR1)
            pipe().read()

        def test_next():
            assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=1, errors=0)


def test_the_alarm_of_a_time_limit_is_not_taken_unasked(pytester):
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    pytester.makepyfile(
        """
        import pytest
        from signal import SIGALRM

        @pytest.mark.timeout(600, method="signal")
        def test_alarm(signals):
            with pytest.raises(ValueError, match="displace=True"):
                signals.catch(SIGALRM)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


COVERED = """
    def in_the_child(value):
        if value:
            return "covered"
        return "not covered"

    def test_child(fork):
        assert fork(in_the_child, 1).result() == "covered"
"""


def test_coverage_counts_lines_of_children(pytester):
    """With coverage's two patches: os._exit saves what was measured, and a fork goes on measuring."""
    coverage = pytest.importorskip("coverage", reason="coverage is not installed")
    if tuple(coverage.version_info[:2]) < (7, 10):
        pytest.skip("coverage before 7.10 has no patch option")
    pytester.makepyfile(test_child=COVERED)
    pytester.path.joinpath(".coveragerc").write_text("[run]\npatch = _exit, fork\nparallel = true\n")
    command = [sys.executable, "-m", "coverage"]
    ran = pytester.run(*command, "run", "-m", "pytest", "-p", "no:cacheprovider", "test_child.py")
    ran.assert_outcomes(passed=1)
    assert pytester.run(*command, "combine").ret == 0
    report = pytester.run(*command, "report", "-m", "--include=test_child.py")
    report.stdout.re_match_lines([r"test_child.py +6 +1 +\d+% +4$"])
