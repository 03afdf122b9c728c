"""A reproducer as Python source: one file, no dependency but the standard library.

Structures are written as bytes in the layout of the machine where the source is made.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from ...kernel import trace_values
from ...kernel.errnos import errno_name
from ...kernel.signatures import Kind
from .steps import Argument, Missing, Program, Step
from .text import Words, comment, is_elsewhere

__all__ = ["source"]

_RUNTIME = '''
import ctypes, errno, mmap, os, signal, struct, sys, tempfile, time

libc = ctypes.CDLL(None, use_errno=True)
BEGUN, DONE, RESULT, ERROR, VALUE, PID, ENDED, OTHER, DEVIATES, MEASURED = range(10)
shared = mmap.mmap(-1, 10 * 8 * SIZE)  # of all processes: tables of SIZE numbers each


def get(table, place=0):
    return struct.unpack_from("q", shared, 8 * (table * SIZE + place))[0]


def put(table, place, number):
    struct.pack_into("q", shared, 8 * (table * SIZE + place), number)


def comes(table, place, seconds):
    until = time.monotonic() + seconds
    while not get(table, place) and time.monotonic() < until:
        time.sleep(0.001)
    return get(table, place)


def after(step):
    """Wait until a step of another process has returned."""
    if not comes(DONE, step, 10):
        if not get(MEASURED):
            print(f"step {step} did not return: not judged", flush=True)
        clean_up()
        os._exit(get(DEVIATES) if get(MEASURED) else 2)


def asleep(step):
    """Wait until a step of another process sleeps in its call, or has returned."""
    if comes(BEGUN, step, 10):
        comes(DONE, step, 0.3)


def call(step, observed_errno, failed, result_is_errno, name, *arguments):
    put(BEGUN, step, 1)
    function = libc[name]
    function.restype = ctypes.c_long if name in LONG else ctypes.c_int
    ctypes.set_errno(0)
    result = function(*[ctypes.c_long(each) if isinstance(each, int) else each for each in arguments])
    error = result if result_is_errno else ctypes.get_errno() if result == failed else 0
    put(RESULT, step, result)
    put(ERROR, step, error)
    if bool(error) != bool(observed_errno) and step != STEP and not get(OTHER):
        put(OTHER, 0, step + 1)
    put(DONE, step, 1)


def fork(step, role, life):
    put(BEGUN, step, 1)
    pid = os.fork()
    if pid == 0:
        put(PID, role, os.getpid())
        life()
        os._exit(0)
    put(PID, role, pid)
    put(DONE, step, 1)


def end(step, role):
    _, status = os.waitpid(get(PID, role), 0)
    put(ENDED, role, 1)
    put(RESULT, step, os.waitstatus_to_exitcode(status))
    put(DONE, step, 1)


def in_time(seconds):
    return ctypes.create_string_buffer(struct.pack("ll", *divmod(time.time_ns() + int(seconds * 1e9), 10**9)), 16)


def buffer(data):
    size = data if isinstance(data, int) else max(len(data), 1)
    return ctypes.create_string_buffer(size) if isinstance(data, int) else ctypes.create_string_buffer(data, size)


def measured(holds, seen):
    put(MEASURED, 0, 1)
    put(DEVIATES, 0, not holds)
    print("observed:", seen, flush=True)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def handler(signo):
    pass


def main():
    os.chdir(tempfile.mkdtemp(prefix="reproduce-"))
    put(PID, 0, os.getpid())
    for name in FILES:
        open(name, "xb").close()
    print(STATEMENT, flush=True)
    role_parent()
    at_end()
    for role in range(1, ROLES):
        if get(PID, role) and not get(ENDED, role):
            os.kill(get(PID, role), signal.SIGKILL)
    clean_up()
    print("expected:", EXPECTED)
    if not get(MEASURED):
        print("the deviating call was not reached")
        return 2
    if get(DEVIATES) and get(OTHER):
        print(f"step {get(OTHER) - 1} went differently than on the platform of the report: not judged")
        return 2
    print("this platform deviates" if get(DEVIATES) else "this platform does not deviate")
    return get(DEVIATES)
'''


def source(program: Program, words: Words) -> str:
    """Return the source. Missing, if Python's ctypes cannot express a value."""
    writer = _Writer(program)
    size = max(len(program.variables), max(step.number for step in program.steps) + 1, len(program.roles)) + 1
    lines = [
        "#!/usr/bin/env python3",
        comment(words.heading(), "# ", "# ", ""),
        "",
        f"STATEMENT = {words.statement!r}",
        f"EXPECTED = {words.expected!r}",
        f"SIZE, STEP, ROLES = {size}, {program.measured}, {len(program.roles)}",
        'LONG = {"mmap", "shmat", "mremap", "sem_open", "read", "write", "msgrcv", "tee", "splice"}',
        f"FILES = {program.files()!r}",
        f"VARIABLES = {list(program.variables)!r}",
        _RUNTIME,
        "",
        "def var(name):\n    return get(VALUE, VARIABLES.index(name))\n\n",
        "def let(name, number):\n    put(VALUE, VARIABLES.index(name), number)\n\n",
        *writer.roles(),
        writer.at_end(),
        writer.clean_up(),
        'if __name__ == "__main__":\n    status = main()\n    sys.stdout.flush()\n    os._exit(status)\n',
    ]
    return "\n".join(lines)


class _Writer:
    def __init__(self, program: Program) -> None:
        self._program = program

    def roles(self) -> Iterator[str]:
        """Yield the functions of all processes."""
        for number, role in enumerate(self._program.roles):
            body = [
                line
                for step in self._program.steps
                if step.role == number and not self._program.is_left_out(step)
                for line in self._step(step)
            ]
            body += [] if number == 0 or role.ends else ["while True:", "    signal.pause()"]
            yield f"def role_{role.name}():\n" + "".join(f"    {line}\n" for line in body or ["pass"]) + "\n"

    def _step(self, step: Step) -> Iterator[str]:
        n = step.number
        for name, steps in (("after", step.after), ("asleep", step.asleep)):
            for other in steps:
                if not self._program.is_left_out(self._program.step(other)):
                    yield f"{name}({other})"
        if step.name == "(fork)":
            yield f"fork({n}, {step.other}, role_{self._program.roles[step.other].name})"
        elif step.name == "(signal)":
            yield f"os.kill(get(PID, {step.other}), {step.event.arguments[1]})"
            yield f"put(DONE, {n}, 1)"
        elif step.name == "(end)":
            yield f"end({n}, {step.other})"
        elif step.name in ("(asleep)", "(exit)", "(nothing)"):
            yield f"put(DONE, {n}, 1)"
        else:
            yield from self._call(step)
        if n == self._program.measured and self._program.measure["what"] in ("errno", "value"):
            yield from self._measure(step)

    def _call(self, step: Step) -> Iterator[str]:
        n = step.number
        if step.name in ("sigaction", "signal", "sigmask", "setgroups", "setrlimit", "waitpid"):
            raise Missing(f"a form of {step.name} for Python: the C program has it")
        shown = []
        for place, argument in enumerate(step.arguments):
            declared, text = self._argument(step, place, argument)
            if declared:
                yield declared
            if text:
                shown.append(text)
        yield f"# {step.text}"[:118]
        failed = 0 if step.name == "sem_open" else -1
        is_errno = step.shape.result == "errno"
        expected = f"errno.{errno_name(step.event.errno)}" if step.event.errno else "0"
        yield f"call({n}, {expected}, {failed}, {is_errno}, {step.name!r}{''.join(f', {text}' for text in shown)})"
        for where, variable in step.gives.items():
            if where == "result":
                yield f"let({variable!r}, get(RESULT, {n}))"
            else:
                position, _, number = where.partition(".")
                yield f'let({variable!r}, struct.unpack_from("i", a{n}_{position}, {4 * int(number)})[0])'

    def _argument(self, step: Step, place: int, argument: Argument) -> tuple[str, str]:
        kind, value = argument.kind, argument.value
        name = f"a{step.number}_{place}"
        if kind.name == "none":
            return "", ""
        if isinstance(value, dict):
            if value.get("bad"):
                return "", str(value.get("at") or 16)
            if "in" in value:
                return f"{name} = buffer({_packed(kind, value['in'])!r})", name
            if kind.way == "out" or "out" in value:
                return f"{name} = buffer({_size(step, kind)})", name
            if value.get("struct") == "abstime":
                return f"{name} = in_time({value['after']:.6f})", name
            data = _packed(kind, value)
            if kind.name == "path" and not is_elsewhere(value["bytes"]):
                data = data.rstrip(b"/").rpartition(b"/")[2]
            if len(data) > 64 and len(set(data)) == 1:
                return f"{name} = buffer({data[:1]!r} * {len(data)})", name
            return f"{name} = buffer({data + (bytes(1) if kind.name in ('path', 'name') else b'')!r})", name
        if argument.role is not None:
            role = argument.role
            return "", f"get(PID, {role})" if role >= 0 else f"-get(PID, {-role - 1})"
        if argument.variable:
            return "", f"var({argument.variable!r})"
        return "", "None" if value is None else str(int(value))

    def _measure(self, step: Step) -> Iterator[str]:
        measure, n = self._program.measure, step.number
        if measure["what"] == "errno":
            wanted = [f"errno.{errno_name(number)}" for number in measure["errnos"]] or ["0"]
            seen = f'os.strerror(get(ERROR, {n})) if get(ERROR, {n}) else f"success, result {{get(RESULT, {n})}}"'
            yield f"measured(get(ERROR, {n}) in ({', '.join(wanted)},), {seen})"
            return
        output, relation, value = measure["output"], measure["relation"], measure["value"]
        found = self._output(step, output)
        wanted_text = repr(value)
        if isinstance(value, dict):
            wanted_text = repr(value["bytes"].encode("latin-1")) if "bytes" in value else repr(value["array"])
        if self._program.expected_role is not None:
            wanted_text = f"get(PID, {self._program.expected_role})"
        elif self._program.expected_variable:
            wanted_text = f"var({self._program.expected_variable!r})"
        yield f"seen = {found}"
        yield f"measured(seen {relation} {wanted_text}, seen)"

    def _output(self, step: Step, output: str) -> str:
        n = step.number
        if output == "result":
            return f"get(RESULT, {n})"
        place, _, rest = output.partition(".")
        name, argument = f"a{n}_{place}", step.arguments[int(place)]
        kind, value = argument.kind, argument.value
        if kind.name == "bytes":
            return f"{name}.raw[: get(RESULT, {n})]"
        if kind.name == "msgbuf":
            size = ctypes.sizeof(ctypes.c_long)
            text = f"{name}.raw[{size} : {size} + get(RESULT, {n})]"
            return text if rest == "text" else f'struct.unpack_from("l", {name})[0]'
        ctype = trace_values.ctype_of(kind.name)
        if rest and not rest.isdigit():
            offset, member = _member(ctype, rest)
            return f'struct.unpack_from("{_format(member)}", {name}, {offset})[0]'
        size = ctypes.sizeof(ctype)
        if rest or not kind.number:
            return f'struct.unpack_from("{_format(ctype)}", {name}, {size * int(rest or 0)})[0]'
        return f'list(struct.unpack_from("{len(value["array"])}{_format(ctype)}", {name}))'

    def at_end(self) -> str:
        """Return the measure that the parent takes after its own steps."""
        n, what = self._program.measured, self._program.measure["what"]
        lines = [f"asleep({n})"]
        if what in ("sleeps", "returns"):
            lines += [f"comes(DONE, {n}, 3)"] if what == "returns" else []
            returned = f"get(DONE, {n})"
            holds = f"not {returned}" if what == "sleeps" else returned
            lines += [
                f"if get(BEGUN, {n}):",
                f'    measured({holds}, "the call returned" if {returned} else "the call sleeps")',
            ]
        elif self._program.step(n).role == 0:
            lines = ["pass"]
        else:
            lines += [f"if get(DONE, {n}):", "    comes(MEASURED, 0, 3)"]
            if what == "errno" and not self._program.measure["errnos"]:
                lines += [f"elif get(BEGUN, {n}):", '    measured(True, "the call sleeps")']
        return "def at_end():\n" + "".join(f"    {line}\n" for line in lines) + "\n"

    def clean_up(self) -> str:
        """Return the removal of objects that outlive processes."""
        calls = {"msqid": ("msgctl", "0, None"), "semid": ("semctl", "0, 0, 0"), "shmid": ("shmctl", "0, None")}
        lines = []
        for variable, kind in self._program.variables.items():
            if kind in calls:
                name, rest = calls[kind]
                lines.append(f"libc.{name}(var({variable!r}), {rest})")
        removals = {"mq_open": "mq_unlink", "shm_open": "shm_unlink", "sem_open": "sem_unlink"}
        lines += [
            f"libc.{removals[step.name]}({step.arguments[0].value['bytes'].encode('latin-1')!r})"
            for step in self._program.steps
            if step.name in removals and isinstance(step.arguments[0].value, dict)
        ]
        lines += ["for name in os.listdir('.'):", "    os.unlink(name)", "os.rmdir(os.getcwd())"]
        return "def clean_up():\n" + "".join(f"    {line}\n" for line in dict.fromkeys(lines)) + "\n"


def _packed(kind: Kind, value: dict[str, Any]) -> bytes:
    """Return the bytes of a value in memory."""
    if "bytes" in value:
        return bytes(value["bytes"].encode("latin-1"))
    if value.get("struct") == "msgbuf":
        return bytes(ctypes.c_long(value["type"])) + bytes(value["text"].encode("latin-1"))
    ctype = trace_values.ctype_of(kind.name)
    if "int" in value:
        return bytes(ctype(value["int"]))
    return b"".join(_one(ctype, part) for part in value.get("array", [value]))


def _one(ctype: Any, value: Any) -> bytes:
    if not isinstance(value, dict):
        return bytes(ctype(value))
    raw = ctype()
    for name, part in value.items():
        if name in ("struct", "mask", "after"):
            continue
        *path, last = name.split(".")
        target = raw
        for step in path:
            target = getattr(target, step)
        setattr(target, last, part)
    return bytes(raw)


def _size(step: Step, kind: Kind) -> int:
    if kind.name == "bytes":
        return max(min(int(step.event.arguments[2]), 1 << 24), 0) + 1
    if kind.name == "msgbuf":
        return ctypes.sizeof(ctypes.c_long) + max(min(int(step.event.arguments[2]), 1 << 24), 0) + 1
    return ctypes.sizeof(trace_values.ctype_of(kind.name)) * (1000 if kind.number else 1)


def _member(ctype: Any, name: str) -> tuple[int, Any]:
    """Return offset and type of a field, as "perm.mode"."""
    offset = 0
    for part in name.split("."):
        field = getattr(ctype, part)
        offset += field.offset
        ctype = {entry[0]: entry[1] for entry in ctype._fields_}[part]
    return offset, ctype


def _format(ctype: Any) -> str:
    found: str = ctype._type_
    return found
