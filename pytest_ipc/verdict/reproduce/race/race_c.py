"""A race as C source: one file, no dependency but libc and its threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..c_text import string
from ..text import Words, comment
from .race_calls import KILL, PROVOCATIONS, Operation, Race

__all__ = ["source"]

_HERE = Path(__file__).parent
_HEADERS = (
    *("errno.h", "fcntl.h", "linux/futex.h", "mqueue.h", "poll.h", "pthread.h", "sched.h", "semaphore.h", "signal.h"),
    *("stdarg.h", "stdio.h", "stdlib.h", "string.h", "sys/eventfd.h", "sys/file.h", "sys/ipc.h", "sys/mman.h"),
    *("sys/msg.h", "sys/prctl.h", "sys/sem.h", "sys/shm.h", "sys/socket.h", "sys/stat.h", "sys/syscall.h"),
    *("sys/wait.h", "time.h", "unistd.h"),
)


def source(race: Race, words: Words) -> str:
    """Return the source."""
    workers = sum(race.lengths)
    numbers = {
        "WORKERS": len(race.process_of),
        "PROCESSES": race.processes,
        "OPERATIONS": len(race.operations),
        "OF_WORKERS": workers,
        "WAKINGS": race.wakings,
        "CLOSINGS": race.closings,
        "EXECUTIONS": len(race.executions),
        "STEPS": max(1, *(len(order) for order, _ in race.executions)),
        "IN_STEP": int(race.in_step),
        "ENDING_KILLS": int(race.kills_sleepers),
        "INTERRUPTIBLE": int(race.interruptible),
        **race.constants,
    }
    parts = [
        comment(words.heading(is_race=True), "/* ", " * ", "\n */"),
        "#define _GNU_SOURCE",
        *(f"#include <{header}>" for header in _HEADERS),
        "",
        *(f"#define {name} {number}" for name, number in numbers.items()),
        "",
        f"static const char statement[] = {string(words.statement)};",
        f"static const char expected[] = {string(words.expected)};",
        "",
        *_tables(race),
        "",
        (_HERE / "run.c").read_text(),
        (_HERE / "calls" / f"{race.calls}.c").read_text(),
        *_operate(race),
        "",
        *((_HERE / f"{part}.c").read_text() for part in ("worker", "watch", "judge", "main")),
    ]
    return "\n".join(parts)


def _tables(race: Race) -> Iterator[str]:
    first = [sum(race.lengths[:worker]) for worker in range(len(race.lengths))]
    yield _table("int", "process_of", map(str, race.process_of))
    yield _table("int", "first_of", map(str, first))
    yield _table("int", "length_of", map(str, race.lengths))
    operations = race.operations
    yield _table("char *const", "worker_of", (string(race.name_of(each.worker)) for each in operations))
    yield _table("char *const", "words", (string(each.words) for each in operations), apart=True)
    yield _table("int", "may_sleep", (str(int(each.name in race.sleeping)) for each in operations))
    yield _table("int", "gives_identifier", (str(int(each.name in race.identifiers)) for each in operations))
    provoked = (f"{{{PROVOCATIONS[each.provoke]}, {each.target}}}" for each in operations)
    yield _table("struct { int what, other; }", "provoked", provoked)
    yield _table("char *const", "outcomes", map(string, race.outcomes), apart=True)
    yield ""
    yield "/* The sequential executions that are allowed: the result of each operation, and the order; 255 ends it. */"
    results = ("{" + ", ".join(map(str, results)) + "}" for _, results in race.executions)
    yield _table("unsigned short", "results", results, "[EXECUTIONS][OPERATIONS]", apart=True)
    orders = ("{" + ", ".join(map(str, [*order, 255])) + "}" for order, _ in race.executions)
    yield _table("unsigned char", "orders", orders, "[EXECUTIONS][STEPS + 1]", apart=True)


def _table(kind: str, name: str, values: Any, size: str = "[]", *, apart: bool = False) -> str:
    between = ",\n    " if apart else ", "
    begin, end = ("{\n    ", "\n}") if apart else ("{", "}")
    return f"static const {kind} {name}{size} = {begin}{between.join(values)}{end};"


def _operate(race: Race) -> Iterator[str]:
    yield "__attribute__((unused)) static void kill_process(int n, int process, int waits);\n"
    yield "static void operate(int n, int w)\n{\n    switch (n) {"
    for number, operation in enumerate(race.operations):
        call = _call(race, number, operation)
        yield f"    case {number}: /* {race.name_of(operation.worker)}: {operation.words.replace('*/', '* /')} */"
        yield f"        {call}\n        break;"
    yield "    }\n}"


def _call(race: Race, number: int, operation: Operation) -> str:
    if operation.name == KILL:
        if operation.worker < 0:
            return "/* See wake(). */"
        waits = int(bool(operation.arguments and operation.arguments[0]))
        return f"kill_process({number}, {race.process_of[operation.target]}, {waits});"
    arguments = "".join(f", {_argument(each)}" for each in operation.arguments)
    return f"do_{operation.name}({number}, w{arguments});"


def _argument(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{string(value.decode('latin-1'))}, {len(value)}"
    if isinstance(value, tuple):
        parts = [
            "{" + ", ".join(str(int(each)) for each in part) + "}" if isinstance(part, tuple) else str(int(part))
            for part in value
        ]
        kind = "struct sembuf" if value and isinstance(value[0], tuple) else "int"
        return f"({kind}[]){{{', '.join(parts)}}}, {len(parts)}"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    return f"{value}ULL" if value > 0x7FFF_FFFF else str(value)
