"""What follows from a leak: the policy of ini file, option and markers; detectors of others; failures of detectors."""

from __future__ import annotations

import sys

import pytest

LEAKS = """
import planted, pytest
"""


@pytest.mark.parametrize(
    ("options", "outcome", "leaks"),
    [
        ((), "passed", True),
        (("--ipc-leaks=warn",), "passed", True),
        (("--ipc-leaks=error",), "error", True),
        (("--ipc-leaks=ignore",), "passed", False),
        (("--ipc-leaks=ignore,descriptors=error",), "error", True),
        (("--ipc-leaks=error descriptors=ignore",), "passed", False),
        (("-o", "ipc_leaks=error"), "error", True),
        (("-o", "ipc_leaks=error", "--ipc-leaks=warn"), "passed", True),
    ],
)
def test_option_and_ini_decide(audited, options, outcome, leaks):
    found = audited(f"{LEAKS}\ndef test_leaks(ipc): planted.leak(planted.descriptors)", *options)
    assert found.outcomes == {"test_leaks": outcome}
    assert found.kinds("test_leaks") == ({"descriptors"} if leaks else set())


@pytest.mark.parametrize(
    ("arguments", "outcome", "leaks"),
    [
        ("'ignore'", "passed", False),
        ("'error'", "error", True),
        ("descriptors='error'", "error", True),
        ("'error', descriptors=1", "passed", False),
        ("'error', descriptors=0", "error", True),
        ("'error', sysv_shm='ignore'", "error", True),
    ],
)
def test_the_marker_closest_to_the_test_decides(audited, arguments, outcome, leaks):
    source = f"""
    import planted, pytest

    @pytest.mark.ipc_leaks("warn")
    class TestClass:
        @pytest.mark.ipc_leaks({arguments})
        def test_leaks(self): planted.leak(planted.descriptors)
    """
    found = audited(source)
    assert found.outcomes == {"test_leaks": outcome}
    assert bool(found.lines("test_leaks")) is leaks


def test_without_a_policy_only_tests_with_our_fixtures_are_looked_at(audited):
    source = f"{LEAKS}\ndef test_other(): planted.leak(planted.descriptors)\ndef test_ours(pipe): pipe()"
    found = audited(source)
    assert [found.lines("test_other"), found.lines("test_ours")] == [[], []]
    assert audited(source, "--ipc-leaks=warn").kinds("test_other") == {"descriptors"}


def test_help_lists_the_kinds():
    from pytest_ipc.audit.detectors import KINDS
    from pytest_ipc.plugin import hooks

    assert hooks._LEAKS.split(", ") == list(KINDS)


def actions(text: str) -> str:
    """Return the sentence that refuses *text*."""
    from pytest_ipc.plugin.leak_policy import of_text

    with pytest.raises(pytest.UsageError) as raised:
        of_text(text, {"descriptors": True, "threads": False}, "ipc_leaks")
    return str(raised.value)


def test_two_actions_for_the_same_are_refused():
    assert actions("error,warn") == (
        "ipc_leaks must have one action for all kinds, not both 'error' and 'warn'; KIND=ACTION is for single kinds"
    )
    assert actions("threads=warn threads=error") == (
        "ipc_leaks must have one action for threads, not both 'warn' and 'error'"
    )


def test_fix_of_a_kind_that_cannot_be_fixed_is_refused():
    sentence = "'threads' cannot be fixed, only reported; the kinds that can are descriptors"
    assert actions("threads=fix") == f"ipc_leaks: {sentence}"
    assert actions("warn, descriptors=fix, threads=fix") == f"ipc_leaks: {sentence}"


def test_many_guesses_are_counted(audited):
    source = """
    import os, tempfile

    def test_many(ipc):
        for number in range(5):
            os.mkfifo(os.path.join(tempfile.gettempdir(), f"planted-{number}"))
    """
    found = audited(source)
    assert len(found.lines("test_many")) == 5
    _, _, summary = found.output.partition("perhaps files: 5 in 1 test\n")
    assert summary.count("FIFO") == 2
    assert "… and 3 more; -v shows all" in summary


def test_socket_has_its_address_and_its_place(audited, monkeypatch):
    monkeypatch.setenv("PYTHONTRACEMALLOC", "1")
    source = """
    import planted, socket

    def test_server(ipc):
        planted.KEPT.append(socket.create_server(("127.0.0.1", 0)))
        planted.KEPT.append(planted.KEPT[0].getsockname()[1])
        planted.KEPT.append(open("/etc/passwd"))
        print("PORT", planted.KEPT[1])
    """
    found = audited(source, "-s")
    port = found.output.partition("PORT ")[2].split()[0]
    server, file = found.lines("test_server")
    assert f", TCP 127.0.0.1:{port}, listening, opened at " in server
    assert "test_socket_has_its_address_and_its_place.py:6; " in file, file


@pytest.mark.parametrize("text", ["never", "descriptors=never", "descriptor=warn", "=warn"])
def test_invalid_option_is_refused_in_one_sentence(pytester, text):
    pytester.makepyfile("def test_one(ipc): pass")
    result = pytester.runpytest_subprocess(f"--ipc-leaks={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert "ipc_leaks" in line
    assert "must be one of ignore, warn, error, fix" in line or "is not a kind of leak; the kinds are" in line


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "worker"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("'never'", "the marker ipc_leaks takes one of ignore, warn, error, fix, not ('never',)"),
        ("descriptor='warn'", "'descriptor' is not a kind of leak; the kinds are"),
        ("threads='fix'", "'threads' cannot be fixed, only reported; the kinds that can are "),
        ("descriptors=-1", "must be one of ignore, warn, error, fix, or a number of allowed leaks, not -1"),
    ],
)
def test_invalid_marker_ends_the_run_with_one_sentence(pytester, arguments, sentence, workers):
    pytester.makepyfile(f"import pytest\n@pytest.mark.ipc_leaks({arguments})\ndef test_one(): pass")
    result = pytester.runpytest_subprocess(*workers)
    assert result.ret != 0
    assert sentence in result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str()


DETECTOR = """
import sys

import pytest
from pytest_ipc import Detector

things = []

class Things(Detector):
    kind = "things"

    def snapshot(self):
        BODY
        return dict.fromkeys(things)

    def describe(self, key, before, after):
        return f"thing {key}"

    def restore(self, key, before, after):
        things.remove(key)
        return True

def pytest_ipc_leak_detectors():
    return [Things()]
"""


def test_a_detector_of_a_conftest_is_asked_too(audited, pytester):
    pytester.makeconftest(DETECTOR.replace("BODY", "pass"))
    source = (
        "import conftest\ndef test_one(ipc): conftest.things.append(7)\ndef test_two(ipc): assert not conftest.things"
    )
    found = audited(source, "--ipc-leaks=things=fix")
    assert found.lines("test_one") == ["things: thing 7; of the process that ran the test; this has been done"]
    assert found.outcomes == {"test_one": "passed", "test_two": "passed"}


@pytest.mark.parametrize("error", ["RuntimeError('broken')", "OSError(5, 'broken')", "AssertionError()"])
def test_a_detector_that_fails_fails_no_test_and_is_named(audited, pytester, error):
    pytester.makeconftest(DETECTOR.replace("BODY", f"raise {error}"))
    found = audited(f"{LEAKS}\ndef test_one(ipc): planted.leak(planted.descriptors)\ndef test_two(ipc): assert 0")
    assert found.outcomes == {"test_one": "passed", "test_two": "failure"}
    assert found.kinds("test_one") == {"descriptors"}
    assert "could not look at things: " in found.output


def test_an_exception_of_a_signal_handler_is_not_taken_for_a_failure_of_a_detector(audited, pytester):
    pytester.makeconftest(DETECTOR.replace("BODY", "import signal; signal.raise_signal(signal.SIGUSR1)"))
    source = """
    import signal

    def handler(*_):
        raise TimeoutError("of the handler")

    signal.signal(signal.SIGUSR1, handler)

    def test_one(ipc): pass
    """
    found = audited(source)
    assert found.outcomes == {"test_one": "error"}
    assert "of the handler" in found.output


def test_unittest_classes_and_parameters_are_charged(audited):
    source = """
    import unittest, planted, pytest

    class TestCase(unittest.TestCase):
        def test_case(self): planted.leak(planted.sysv_shm)
        def test_clean(self): planted.clean(planted.sysv_shm)

    @pytest.mark.parametrize("number", range(2))
    def test_parameter(number, ipc):
        if number: planted.leak(planted.sysv_msg)
    """
    found = audited(source, "--ipc-leaks=fix")
    kinds = {test: found.kinds(test) for test in found.leaks}
    assert kinds == {
        "test_case": {"sysv-shm"},
        "test_clean": set(),
        "test_parameter[0]": set(),
        "test_parameter[1]": {"sysv-msg"},
    }


def test_workers_of_xdist_report_to_the_controller(audited):
    source = f"{LEAKS}\ndef test_one(ipc): planted.leak(planted.sysv_shm)\ndef test_two(ipc): pass"
    found = audited(source, "--ipc-leaks=fix", "-n", "2")
    assert (found.kinds("test_one"), found.kinds("test_two")) == ({"sysv-shm"}, set())
    assert "sysv-shm: 1 in 1 test" in found.output


def test_what_the_traceback_of_a_failure_keeps_is_no_leak(audited):
    source = """
    import socket, pytest

    def test_fails(ipc):
        kept = socket.socket()
        assert kept.fileno() < 0

    @pytest.mark.xfail
    def test_xfails(ipc):
        kept = socket.socket()
        assert kept.fileno() < 0
    """
    found = audited(source, "--ipc-leaks=error")
    assert found.outcomes == {"test_fails": "failure", "test_xfails": "skipped"}


def test_a_time_limit_that_a_failure_ends_is_no_leak(audited):
    pytest.importorskip("pytest_timeout")
    found = audited("def test_fails(ipc): assert 0", "--ipc-leaks=error", "--timeout=300", "--timeout-method=signal")
    assert found.outcomes == {"test_fails": "failure"}
    assert found.kinds("test_fails") == set()


def test_a_fixed_descriptor_is_not_closed_under_the_object_that_owns_it(audited):
    source = """
    import socket

    KEPT = []

    def test_leaks(ipc): KEPT.append(open("/etc/passwd"))

    def test_innocent(ipc):
        server = socket.socket()
        KEPT.clear()
        server.listen()
        server.close()
    """
    found = audited(source, "--ipc-leaks=fix")
    assert found.kinds("test_leaks") == {"descriptors"}
    assert found.outcomes == {"test_leaks": "passed", "test_innocent": "passed"}


def test_a_test_that_takes_all_descriptors_is_charged_and_the_next_one_is_not(audited):
    source = """
    import contextlib, os, planted, resource, subprocess

    def test_takes_all():
        planted.leak(planted.abstract_sockets)
        planted.leak(planted.processes)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
        planted.KEPT.append(limits)
        with contextlib.suppress(OSError):
            while True:
                planted.KEPT.append(os.open("/dev/zero", os.O_RDONLY))

    def test_frees():
        while not isinstance(planted.KEPT[-1], tuple):
            os.close(planted.KEPT.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, planted.KEPT.pop())

    def test_last(): pass
    """
    found = audited(source, "--ipc-leaks=warn")
    assert set(found.outcomes.values()) == {"passed"}, found.output
    taken = [line for line in found.lines("test_takes_all") if "/dev/zero; of the process" in line]
    assert len(taken) > 10, found.output
    assert found.kinds("test_frees") == found.kinds("test_last") == set(), found.output


def test_who_restores_what_an_earlier_test_has_changed_leaks_nothing(audited):
    source = """
    import os

    BEFORE = os.umask(0o077)
    os.umask(BEFORE)

    def change(mask, value):
        os.umask(mask)
        os.environ["PLANTED"] = value

    def test_leaks(): change(0o077, "1")

    def test_restores():
        os.umask(BEFORE)
        del os.environ["PLANTED"]

    def test_leaks_again(): change(0o007, "1")
    def test_leaks_more(): change(0o077, "2")
    """
    found = audited(source, "--ipc-leaks=warn")
    kinds = {"umask", "environment"}
    expected = {"test_leaks": kinds, "test_restores": set(), "test_leaks_again": kinds, "test_leaks_more": kinds}
    assert {test: found.kinds(test) for test in found.leaks} == expected


def test_what_a_thread_of_an_earlier_test_does_is_not_charged_to_another(audited):
    source = """
    import os, planted, subprocess, sys, threading

    GO, DONE, END = threading.Event(), threading.Event(), threading.Event()

    def start():
        GO.wait()
        threading.Thread(target=END.wait, daemon=True).start()
        planted.KEPT.append(subprocess.Popen(["sleep", "1000"]))
        DONE.set()
        if "stays" in planted.KEPT:
            END.wait()

    def test_leaks():
        threading.Thread(target=start).start()

    def test_innocent():
        GO.set()
        DONE.wait()

    def test_leaks_too():
        planted.KEPT.append("stays")
        GO.clear()
        DONE.clear()
        threading.Thread(target=start).start()

    def test_innocent_too():
        GO.set()
        DONE.wait()

    def test_guilty():
        planted.KEPT.append(subprocess.Popen(["sleep", "1000"]))
        threading.Thread(target=END.wait, daemon=True).start()

    def test_end():
        for each in planted.KEPT:
            if each != "stays":
                each.kill()
                each.wait()
        END.set()
    """
    found = audited(source, "--ipc-leaks=warn")
    assert set(found.outcomes.values()) == {"passed"}, found.output
    innocent = set() if sys.version_info >= (3, 12) else {"threads"}  # Python 3.11 does not show who starts a thread
    expected = {"test_leaks": {"threads"}, "test_innocent": innocent, "test_leaks_too": {"threads"}}
    expected |= {"test_innocent_too": innocent, "test_guilty": {"threads", "processes"}, "test_end": set()}
    assert {test: found.kinds(test) for test in found.leaks} == expected, found.output
    for test in ("test_innocent", "test_innocent_too"):
        kinds = sorted(line.partition(":")[0] for line in found.leaks[test] if "sleep" in line or "Thread-" in line)
        assert kinds == ["processes", "threads"], found.leaks[test]


def test_audit_events_at_the_end_of_the_interpreter_disturb_nothing(audited):
    source = """
    import sys
    from pytest_ipc.processes import audit_events

    class Late:
        def __del__(self, audit=sys.audit):
            audit("os.kill", 1, 9)

    def test_keeps(ipc):
        audit_events.planted = Late()  # which outlives the variables that begin with an underscore
    """
    assert "ignored" not in audited(source).output


def test_a_note_of_what_cannot_be_seen_comes_once(audited, pytester):
    pytester.makeconftest(DETECTOR.replace("BODY", "raise OSError(5, 'hidden')"))
    found = audited("def test_one(ipc): assert 0\ndef test_two(ipc): assert 0")
    assert found.output.count("could not look at things: hidden") == 1


@pytest.mark.parametrize("hook", ["pytest_runtest_logfinish", "pytest_runtest_logreport", "pytest_runtest_logstart"])
def test_what_another_plugin_does_between_two_tests_is_not_charged(audited, pytester, hook):
    argument = "report" if hook.endswith("report") else "nodeid"
    pytester.makeconftest(f"""
    import resource, signal, threading

    def {hook}({argument}):
        if getattr({argument}, "when", "teardown") != "teardown":
            return  # during the test
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.signal(signal.SIGUSR1, lambda *_: None)
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    """)
    source = "def test_one(): pass\ndef test_two(): pass\ndef test_three(): pass"
    found = audited(source, "--ipc-leaks=error")
    assert set(found.outcomes.values()) == {"passed"}, found.output
    assert not any(map(found.kinds, found.leaks))
