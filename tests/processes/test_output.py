"""The output of a child is in its parent's report once, in every capture mode, and its assertions are explained."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

import pytest

from pytest_ipc.kernel.memfile import memory_file, read_from

LOUD = """
    import ctypes, os, subprocess, sys

    libc = ctypes.CDLL(None)

    def life():
        print("python out")
        print("python err", file=sys.stderr)
        sys.stdout.write("no newline ")
        libc.puts(b"C stdio")
        os.write(1, b"raw descriptor\\n")
        subprocess.run(["echo", "a program"], check=True)
        return 7

    def test_loud(fork):
        sys.stdout.write("parent before ")
        libc.printf(b"parent C before ")
        child = fork(life)
        assert child.result() == 7
        print("parent after")
        assert False
"""
ONCE = [
    "python out",
    "python err",
    "no newline",
    "C stdio",
    "raw descriptor",
    "a program",
    "parent before",
    "parent after",
]


@pytest.mark.parametrize("how", [[], ["-s"], ["--capture=sys"], ["--capture=tee-sys"], ["-n", "1"]], ids=" ".join)
def test_everything_a_child_writes_is_in_the_report_once(pytester, monkeypatch, how):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    pytester.makepyfile(LOUD)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--tb=line", "--show-capture=all", *how)
    result.assert_outcomes(failed=1)
    text = result.stdout.str() + result.stderr.str()
    times = 2 if how == ["--capture=tee-sys"] else 1
    assert {part: text.count(part) for part in ONCE} == dict.fromkeys(ONCE, times)
    assert text.count("parent C before") == 1


def test_assertion_in_a_child_is_explained(pytester):
    pytester.makepyfile(
        """
        def life(values):
            total = sum(values)
            assert total == len(values) * 2

        def test_sum(fork):
            fork(life, [1, 2]).result()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       fork(life, [[]1, 2[]]).result()",
            "E       assert 3 == (2 * 2)",
            "E        +  where 2 = len([[]1, 2[]])",
            "E       in <child * (life)>:",
            "E       Traceback (most recent call last):",
            "*assert total == len(values) * 2",
        ]
    )
    result.stdout.no_fnmatch_line("*child.py:*")


def test_a_childs_output_can_be_read_while_it_runs(fork):
    def life():
        print("here I am", flush=True)
        signal.pause()

    child = fork(life)
    child.wait_blocked("pause")
    assert child.output == "here I am\n"


def test_it_is_passed_on_when_the_child_is_waited_for_and_when_it_is_ended(fork, capsys):
    child = fork(print, "waited for")
    child.wait()
    child.wait()
    assert capsys.readouterr().out == "waited for\n"
    child.close()
    assert capsys.readouterr().out == ""

    def life():
        print("ended")
        signal.pause()

    ended = fork(life)
    ended.wait_blocked("pause")
    ended.close()
    assert capsys.readouterr().out == "ended\n"


def test_invalid_utf_8_is_harmless(fork):
    child = fork(os.write, 1, b"\xff\xfe ok\n")
    child.wait()
    assert child.output == "\ufffd\ufffd ok\n"


def test_ascii_terminal_does_not_prevent_the_result(program):
    done = program(
        "import os, sys\n"
        "from pytest_ipc import scope\n"
        "sys.stdout.reconfigure(encoding='ascii', errors='strict')\n"
        "with scope() as ipc:\n"
        "    print(ipc.fork(lambda: (print('caf\\u00e9'), 7)[1]).result())\n"
    )
    assert done.stdout == "caf\\xe9\n7\n"


def test_standard_input_of_a_child_is_empty(fork):
    assert fork(lambda: (sys.stdin.read(), os.read(0, 1))).result() == ("", b"")


def test_a_programs_output_in_the_childs_place_is_the_childs(fork):
    child = fork(os.execv, "/bin/sh", ["sh", "-c", "echo out; echo err >&2"])
    assert child.wait() == 0
    assert child.output == "out\nerr\n"


@pytest.mark.skipif(not faulthandler.is_enabled(), reason="faulthandler is off")
def test_a_crash_is_explained_on_the_childs_own_output(fork):
    """faulthandler keeps a number, and by the time of the crash that number may be a pipe's."""

    def life():
        for _ in range(50):
            os.memfd_create("stray")
        os.kill(os.getpid(), signal.SIGSEGV)

    child = fork(life)
    assert child.wait() == -signal.SIGSEGV
    assert child.output.startswith("Fatal Python error: Segmentation fault")


def test_memory_file_is_read_from_any_offset():
    fd = memory_file("test")
    try:
        os.write(fd, b"0123456789")
        assert [read_from(fd, offset) for offset in (0, 4, 10, 99)] == [b"0123456789", b"456789", b"", b""]
    finally:
        os.close(fd)
