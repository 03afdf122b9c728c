"""Reports side by side on a terminal, and changes from one to the next."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from pytest_ipc.cli import main
from pytest_ipc.verdict.reports.matrix import by_platform
from pytest_ipc.verdict.reports.matrix_terminal import show_matrix
from pytest_ipc.verdict.reports.reader import Reader

from . import reports

HOST = {"shm.a": reports.HOLDS, "shm.b": reports.HOLDS, "shm.c": reports.HOLDS, "mq.a": reports.HOLDS}
BOX = {"shm.a": reports.HOLDS, "shm.b": reports.UNTESTED, "shm.c": reports.DEVIATES, "mq.a": reports.ABSENT}
PART = {"shm.a": reports.HOLDS, "shm.c": reports.DEVIATES}


@pytest.fixture
def compare(tmp_path, capsys):
    """Return a function that runs the command on reports of these verdicts: its status and its lines."""

    def run(*options: str, **verdicts):
        files = [str(reports.write(tmp_path, name, found)) for name, found in verdicts.items()]
        status = main(["compare", *options, *files])
        return status, [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return run


def columns(lines: list[str]) -> list[list[str]]:
    """Return the parts of each line that are separated by two spaces."""
    return [re.split(r" {2,}", line) for line in lines]


def test_platforms_are_shown_side_by_side(compare):
    status, lines = compare(host=HOST, box=BOX, part=PART)
    assert status == 0
    assert columns(lines) == [
        ["clause", "host", "box", "part"],
        ["shm"],
        ["shm.c", "holds", "deviates", "deviates"],
        ["shm.b", "holds", "untested", "-"],
        ["mq"],
        ["mq.a", "holds", "absent", "-"],
        [""],
        ["platform", "holds", "untested", "absent", "disputed", "deviates"],
        ["host", "4"],
        ["box", "1", "1", "1", "1"],
        ["part", "1", "1"],
        ["4 clauses, 3 platforms; 1 hold wherever they were judged (--all shows them)."],
    ]


def test_all_shows_every_clause(compare):
    _, lines = compare("--all", host=HOST, box=BOX)
    assert ["shm.a", "holds", "holds"] in columns(lines)
    assert lines[-1] == "4 clauses, 2 platforms."


def test_reports_without_a_difference(compare):
    _, lines = compare(host=HOST)
    assert lines[-1] == "4 clauses, 1 platform; 4 hold wherever they were judged (--all shows them)."


def test_broken_suite_is_reported(tmp_path, capsys):
    path = reports.write(tmp_path, "dead", {}, broken=("it did not start",))
    assert main(["compare", str(path)]) == 0
    assert "broken dead: it did not start\n" in capsys.readouterr().out


def test_too_many_platforms_are_listed_in_lines(tmp_path):
    reader = Reader()
    found = [reader.read(reports.write(tmp_path, f"box{number}", BOX if number % 4 else HOST)) for number in range(20)]
    out = io.StringIO()
    show_matrix(Console(file=out, width=80), by_platform(found, reader.clauses))
    lines = " ".join(out.getvalue().split())
    assert "shm.c deviates on box1, box2, box3, box5, box6, box7, box9, box10 and 7 more holds on box0, box4" in lines
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_common_verdict_names_no_platform(tmp_path):
    reader = Reader()
    found = [reader.read(reports.write(tmp_path, f"box{number}", BOX)) for number in range(20)]
    out = io.StringIO()
    show_matrix(Console(file=out, width=80), by_platform(found, reader.clauses))
    assert "  deviates on all\n" in out.getvalue()


def test_worst_verdicts_come_first(tmp_path):
    reader = Reader()
    found = {
        "a.b": reports.ABSENT,
        "b.c": reports.UNTESTED,
        "c.a": reports.HOLDS,
        "c.b": reports.DEVIATES,
        "d.a": reports.BROKEN,
    }
    matrix = by_platform([reader.read(reports.write(tmp_path, "box", found))], reader.clauses)
    assert [[row.clause.id for row in group.rows] for group in matrix.groups] == [
        ["d.a"],
        ["c.b", "c.a"],
        ["a.b"],
        ["b.c"],
    ]


@pytest.mark.parametrize("same", ["one file twice", "two files"])
def test_two_reports_with_one_name_are_an_error(tmp_path, capsys, same):
    first = reports.write(tmp_path, "box", HOST)
    second = first if same == "one file twice" else reports.write(tmp_path, "box", BOX, day=2)
    assert main(["compare", str(first), str(second)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"pytest-ipc: {first} and {second} both have the name 'box': rename one")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["/no/such.json"], "the report /no/such.json cannot be read"),
        (["--changes", "{box}"], "--changes needs two reports of a platform, not only "),
    ],
)
def test_usage_errors(tmp_path, capsys, arguments, sentence):
    box = str(reports.write(tmp_path, "box", HOST))
    assert main(["compare", *(argument.format(box=box) for argument in arguments)]) == 2
    assert sentence in capsys.readouterr().err


def test_changes_are_shown(tmp_path, capsys):
    one = {
        "a.better": reports.DEVIATES,
        "a.changed": reports.UNTESTED,
        "a.gone": reports.HOLDS,
        "a.same": reports.DEVIATES,
        "a.worse": reports.HOLDS,
    }
    two = {
        "a.better": reports.HOLDS,
        "a.changed": reports.ABSENT,
        "a.new": reports.HOLDS,
        "a.same": reports.DEVIATES,
        "a.worse": reports.DEVIATES,
    }
    first, second = reports.write(tmp_path, "box", one), reports.write(tmp_path, "box", two, day=2)
    second.write_text(second.read_text().replace("Linux 6.12.9", "Linux 6.12.10"))
    assert main(["compare", "--changes", str(second), str(first)]) == 1
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "box: 2026-01-01T12:30:00Z to 2026-01-02T12:30:00Z",
        "  kernel: Linux 6.12.9 #1 SMP, now Linux 6.12.10 #1 SMP",
        "  worse   a.worse: holds, now deviates: expected EEXIST, shmget succeeded with 7",
        "  better  a.better: deviates, now holds",
        "  changed a.changed: untested, now absent: ENOSYS: Function not implemented",
        "  new     a.new: holds",
        "  gone    a.gone: not judged any more",
    ]


def test_exit_status_depends_on_the_last_step_only(tmp_path, capsys):
    files = [
        reports.write(tmp_path, "box", {"a.b": verdict}, day=day)
        for day, verdict in enumerate((reports.HOLDS, reports.DEVIATES, reports.DEVIATES), 1)
    ]
    assert main(["compare", "--changes", *map(str, files)]) == 0
    out = capsys.readouterr().out
    assert "worse   a.b" in out
    assert out.endswith("box: 2026-01-02T12:30:00Z to 2026-01-03T12:30:00Z\n  no verdict changed\n")


def test_renamed_platform_is_compared(tmp_path, capsys):
    files = [reports.write(tmp_path, name, {"a.b": reports.HOLDS}, day=day) for day, name in ((1, "old"), (2, "new"))]
    assert main(["compare", "--changes", *map(str, files)]) == 0
    assert capsys.readouterr().out.startswith("old, then new: 2026-01-01")
