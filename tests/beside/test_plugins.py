"""Beside each plugin the tests have the outcomes that they have without it, and nothing is left."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.timeout(300)

# By a name: the plugins, and their arguments.
BESIDE = {
    "nothing": ("", []),
    "xdist": ("xdist", ["-n", "2"]),
    "timeout": ("timeout", ["--timeout", "100"]),
    "timeout-thread": ("timeout", ["--timeout", "100", "--timeout-method", "thread"]),
    "asyncio": ("asyncio", ["-o", "asyncio_mode=auto"]),
    "anyio": ("anyio", []),
    "trio": ("trio", ["-o", "trio_mode=true"]),
    "randomly": ("randomly", []),
    "cov": ("pytest_cov", ["--cov", "."]),
    "subtests": ("subtests", []),
    "benchmark": ("benchmark", []),
    "html": ("html html_fixtures metadata", ["--html", "report.html"]),
    "json-report": ("pytest_jsonreport metadata", ["--json-report"]),
    "sugar": ("sugar", []),
    "instafail": ("instafail", ["--instafail"]),
    "xdist-sugar-instafail-cov": ("xdist sugar instafail pytest_cov", ["-n", "1", "--instafail", "--cov", "."]),
}


@pytest.mark.parametrize("name", BESIDE)
def test_outcomes_are_the_same(beside, name):
    plugins, arguments = BESIDE[name]
    done = beside(plugins, *arguments)
    done.is_right()
    done.leaves_nothing()


def test_rerunfailures_runs_them_again(beside):
    done = beside("rerunfailures", "--reruns", "1")
    done.ends_right()
    done.leaves_nothing(5)
    assert done.tests["test_fails", "call", "rerun"] == 1
    assert done.tests["test_passes", "call", "rerun"] == 0


def test_repeat_runs_each_twice(beside):
    done = beside("repeat", "--count", "2")
    done.is_right(times=2)
    done.leaves_nothing(8)


def test_run_parallel_keeps_them_out_of_its_threads(beside):
    done = beside("run-parallel", "--parallel-threads", "3", "-v")
    done.is_right()
    done.leaves_nothing()
    assert "pytest-ipc's fixtures own the processes, signals and objects of one test" in done.output


def test_run_parallel_runs_the_others_in_threads(beside):
    source = "import threading\nnames = set()\n\ndef test_it():\n    names.add(threading.current_thread().name)\n"
    source += "\ndef test_after():\n    assert len(names) == 3\n"
    done = beside("run-parallel", "--parallel-threads", "3", source=source)
    assert done.tests["test_it", "call", "passed"] == 1, done.output


def test_reports_of_html_and_json_name_the_leak(beside, tmp_path):
    beside("html html_fixtures metadata pytest_jsonreport", "--html", "report.html", "--json-report").is_right()
    assert "test_leaks" in (tmp_path / "report.html").read_text()
    rows = {row["nodeid"]: row for row in json.loads((tmp_path / ".report.json").read_text())["tests"]}
    assert rows["test_four.py::test_leaks"]["outcome"] == "error"
    assert "/dev/null" in rows["test_four.py::test_leaks"]["teardown"]["longrepr"]


def test_coverage_counts_lines_of_children(beside, tmp_path):
    (tmp_path / ".coveragerc").write_text("[run]\npatch =\n    _exit\n    fork\n")
    source = "def life():\n    return 1 + 1\n\n\ndef test_it(ipc):\n    assert ipc.fork(life).result(timeout=60) == 2\n"
    done = beside("pytest_cov", "--cov", ".", "--cov-report", "json", source=source)
    assert done.done.returncode == 0, done.output
    files = json.loads((tmp_path / "coverage.json").read_text())["files"]
    assert files["test_four.py"]["missing_lines"] == []


ASYNC = """
import signal
import pytest
{imports}

@pytest.fixture(params=[1, 2])
def number(request):
    return request.param

{mark}
async def test_child(ipc, number):
    child = ipc.fork(divmod, 7, number)
    assert await child.result_async(timeout=60) == divmod(7, number)

{mark}
async def test_program(ipc):
    program = ipc.spawn(["sh", "-c", "read line; exit $line"], stdin=b"7\\n")
    assert await program.wait_async(timeout=60) == 7

{mark}
async def test_child_raises(ipc):
    with pytest.raises(ZeroDivisionError):
        await ipc.fork(divmod, 1, 0).result_async(timeout=60)

{mark}
async def test_child_lives(ipc):
    with pytest.raises(TimeoutError):
        await ipc.fork(signal.pause).wait_async(timeout=0.01)

class TestClass:
    {mark}
    async def test_of_the_class(self, ipc_class):
        assert await ipc_class.fork(int).result_async(timeout=60) == 0
"""


@pytest.mark.parametrize(
    ("plugins", "imports", "mark", "arguments", "passed"),
    [
        ("asyncio", "", "@pytest.mark.asyncio", [], 6),
        ("trio", "", "@pytest.mark.trio", [], 6),
        ("anyio", "", "@pytest.mark.anyio", [], 12),
    ],
    ids="asyncio trio anyio".split(),
)
def test_coroutines_await_children_and_programs(beside, plugins, imports, mark, arguments, passed):
    source = ASYNC.format(imports=imports, mark=mark)
    if plugins == "anyio":
        source += (
            "\n\n@pytest.fixture(params=['asyncio', 'trio'])\ndef anyio_backend(request):\n    return request.param\n"
        )
    done = beside(plugins, *arguments, source=source)
    outcomes = {key[1:]: count for key, count in done.tests.items()}
    assert (
        sum(count for (_, when, outcome), count in done.tests.items() if (when, outcome) == ("call", "passed"))
        == passed
    ), done.output
    assert {outcome for _, outcome in outcomes} == {"passed"}, done.output


OTHERS = """
import threading
import unittest

import pytest
from pytest_ipc import scope


class TestUnit(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def objects(self, ipc, ipc_class):
        self.ipc, self.ipc_class = ipc, ipc_class

    def setUp(self):
        self.segment = self.ipc.sysv_shm()

    def test_one(self):
        assert self.segment.exists()
        assert self.ipc.fork(int).result(timeout=60) == 0

    def test_subtests(self):
        for number in range(3):
            with self.subTest(number=number):
                assert self.ipc_class.posix_shm().exists()


def test_threads(ipc):
    found = []

    def life():
        segment = ipc.sysv_shm()
        found.append((segment, ipc.fork(segment.exists).result(timeout=60), ipc.spawn(["true"]).wait(timeout=60)))

    threads = [threading.Thread(target=life) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row[1:] for row in found] == [(True, 0)] * 4
    assert len({row[0].id for row in found}) == 4


def test_subtests(subtests, ipc):
    for number in range(3):
        with subtests.test(number=number):
            assert ipc.sysv_shm().exists()
"""


def test_unittest_threads_and_subtests(beside):
    done = beside("", source=OTHERS)
    assert {outcome for _, _, outcome in done.tests} == {"passed"}, done.output


HYPOTHESIS = """
from hypothesis import given, settings, strategies as st
from pytest_ipc import scope

seen = []


@settings(max_examples=10, deadline=None, database=None)
@given(size=st.integers(1, 10_000))
def test_examples(size):
    with scope() as ipc:
        segment = ipc.sysv_shm(size)
        seen.append(segment.id)
        assert ipc.fork(lambda: segment.stat().segsz).result(timeout=60) == size
    assert not segment.exists()
"""


def test_hypothesis_examples_own_their_objects(beside):
    done = beside("hypothesispytest", source=HYPOTHESIS)
    assert {outcome for _, _, outcome in done.tests} == {"passed"}, done.output
