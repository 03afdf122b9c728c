"""The values of a trace: what the pointers of a call refer to, decoded right after the call, and calls as text."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from ..unpatched import os, time
from . import abi, libc, trace
from .errnos import errno_name
from .memfile import memory_file
from .signatures import Kind, command_kind, flag_names, names_of, signature
from .trace import NOT_RETURNED, Event, Value

__tracebackhide__ = True  # pytest ends a traceback at the line that called

_LONGEST = 1 << 20  # bytes read of one argument
_RECENT = 20  # events as text

_STRUCTS: dict[str, Any] = {
    "msqid_ds": abi.msqid_ds,
    "semid_ds": abi.semid_ds,
    "shmid_ds": abi.shmid_ds,
    "flock64": abi.flock64,
    "sigaction": abi.sigaction,
}
_PLAIN = {"fd": ctypes.c_int, "int": ctypes.c_int, "uint": ctypes.c_uint, "ushort": ctypes.c_ushort}
_PLAIN |= {"off": ctypes.c_int64}


class _Calls:
    """The watcher of libc.py: takes the values of what a call reads before it, and of what it writes after it."""

    def begin(self, name: str, arguments: Sequence[Any]) -> Any:
        shape = signature(name)
        if shape is None or len(shape.arguments) != len(arguments):
            values = list(map(_unknown, arguments))
        else:
            values = [_value(kind, place, arguments, before=True) for place, kind in enumerate(shape.arguments)]
        return trace.begin(name, values), values

    def end(self, token: Any, name: str, arguments: Sequence[Any], result: Any, errno: int) -> None:
        end = time.monotonic_ns()
        begin, values = token
        shape = signature(name)
        number = result if isinstance(result, int) else None
        if shape is not None and len(shape.arguments) == len(arguments):
            for place, value in enumerate(values):
                if isinstance(value, dict) and "out" in value and not errno and not value.get("bad"):
                    given = {"in": value["in"]} if "in" in value else {}
                    values[place] = _value(shape.arguments[place], place, arguments, before=False, result=result)
                    if given and isinstance(values[place], dict):
                        values[place].update(given)
            if name == "semget" and not errno:
                trace.set_sizes().setdefault(number or 0, arguments[1])
            elif name == "semctl" and isinstance(values[3], dict) and "nsems" in values[3]:
                trace.set_sizes()[arguments[0]] = values[3]["nsems"]
        trace.add(name, values, number, errno, begin, end)


CALLS = _Calls()


def _unknown(argument: Any) -> Value:
    if argument is None or isinstance(argument, int):
        return argument
    return _text(argument) if isinstance(argument, bytes) else {"at": 0}


def _text(data: bytes) -> Value:
    return {"bytes": data.decode("latin-1")}


def _of_bytes(kind: Kind, data: bytes) -> Value:
    """Return bytes that a call takes for a structure, or an array of them, as such."""
    if kind.way != "in" or (kind.name not in _PLAIN and kind.name not in _STRUCTS and not hasattr(abi, kind.name)):
        return _text(data)
    size = ctypes.sizeof(ctype_of(kind.name))
    return _decoded(kind, data) if data and len(data) % size == 0 else _text(data)


def _value(kind: Kind, place: int, arguments: Sequence[Any], *, before: bool, result: Any = None) -> Value:
    argument = arguments[place]
    if kind.way == "ctl":
        found = command_kind(kind.name, int(arguments[place - 1]))
        if found is None:
            return argument if argument is None or isinstance(argument, int) else {"at": 0}
        if not found.is_pointer:
            return _low(argument, 32) if isinstance(argument, int) and found.name == "int" else argument
        kind = found
    if isinstance(argument, bytes):
        return _of_bytes(kind, argument)
    if not kind.is_pointer:
        return argument if argument is None or isinstance(argument, int) else {"at": 0}
    address = _address(argument)
    if address == 0:
        return None
    if before and kind.way == "out":
        return {"out": kind.name, "bad": True} if _read(address, 1) is None else {"out": kind.name}
    size = _size(kind, arguments, result)
    data = _read(address, size) if size is not None and size <= _LONGEST else None
    if data is None:
        beginning = _read(address, 16)  # of an argument whose size is wrong
        if beginning is None:
            return {"at": address, "bad": True}
        if kind.way == "in" and kind.name in ("bytes", "msgbuf"):
            return _decoded(kind, beginning)
        return {"at": address}
    value = _decoded(kind, data)
    return {"out": kind.name, "in": value} if before and kind.way == "io" else value


def _low(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _size(kind: Kind, arguments: Sequence[Any], result: Any) -> int | None:
    def of(text: str) -> int:
        if text == "r":
            return max(int(result or 0), 0)
        return int(arguments[int(text)])

    if kind.name == "bytes":
        return of(kind.size)
    if kind.name == "msgbuf":
        return ctypes.sizeof(ctypes.c_long) + of(kind.size)
    element = ctypes.sizeof(ctype_of(kind.name))
    if kind.number == "n":
        number = trace.set_sizes().get(arguments[0])
        return element * number if number is not None else None
    if kind.number:
        fixed = kind.number == "2" and kind.name == "fd"
        return element * (2 if fixed else of(kind.number))
    return element


def ctype_of(name: str) -> Any:
    """Return the C type of a kind."""
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "abstime":
        name = "timespec"
    found = _STRUCTS.get(name) or getattr(abi, name, None)
    return found() if name in _STRUCTS and found is not None else found or ctypes.c_byte


def _decoded(kind: Kind, data: bytes) -> Value:
    if kind.name == "bytes":
        return _text(data)
    if kind.name == "msgbuf":
        long = ctypes.sizeof(ctypes.c_long)
        type = ctypes.c_long.from_buffer_copy(data).value
        return {"struct": "msgbuf", "type": type, "text": data[long:].decode("latin-1")}
    ctype = ctype_of(kind.name)
    size = ctypes.sizeof(ctype)
    parts = [_fields(kind.name, ctype.from_buffer_copy(data, start)) for start in range(0, len(data), size)]
    return {"array": parts} if kind.number else parts[0] if isinstance(parts[0], dict) else {"int": parts[0]}


def _fields(name: str, raw: Any) -> Value:
    if not isinstance(raw, ctypes.Structure):
        return int(raw.value)
    found: dict[str, Value] = {"struct": name}
    _collect(found, "", raw)
    if name == "abstime":  # relative to now: a reproduction has another now
        found["after"] = found["tv_sec"] + found["tv_nsec"] / 1e9 - time.time()
    return found


def _collect(found: dict[str, Value], prefix: str, raw: ctypes.Structure) -> None:
    for field, *_ in raw._fields_:
        if field.startswith(("unused", "pad", "__")) or field.endswith("_high"):
            continue
        value = getattr(raw, field)
        if isinstance(value, ctypes.Structure):
            _collect(found, f"{prefix}{field}.", value)
        elif field == "mask":
            raw_mask = bytes(bytearray(value))[: abi.KERNEL_SIGSET_BYTES]
            bits = int.from_bytes(raw_mask, sys.byteorder)
            found["mask"] = [number for number in range(1, 65) if bits >> (number - 1) & 1]
        elif isinstance(value, int):
            found[prefix + field] = abi.time_member(raw, field) if hasattr(raw, field + "_high") else value


def _address(argument: Any) -> int:
    if argument is None:
        return 0
    if isinstance(argument, int):
        return argument
    target = getattr(argument, "_obj", argument)  # of byref()
    if isinstance(target, ctypes.c_void_p):
        return target.value or 0
    return ctypes.addressof(target)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def _read(address: int, size: int) -> bytes | None:
    """Return the bytes at an address of this process; None if they are not readable."""
    if size == 0:
        return b""
    kept = ctypes.get_errno()
    try:
        return _read_by_call(address, size) if _call_reads() else _read_by_write(address, size)
    finally:
        ctypes.set_errno(kept)


@cache
def _call_reads() -> bool:
    """Return whether process_vm_readv(2) works here: older gVisor and some filters refuse it."""
    known = ctypes.create_string_buffer(b"known")
    return _read_by_call(ctypes.addressof(known), 5) == b"known"


def _read_by_call(address: int, size: int) -> bytes | None:
    buffer = ctypes.create_string_buffer(size)
    try:
        vm_readv = libc.raw_symbol("process_vm_readv")
        local = _Iovec(ctypes.addressof(buffer), size)
        remote = _Iovec(address, size)
    except (AttributeError, ValueError, TypeError):
        return None
    pid, one = ctypes.c_int(os.getpid()), ctypes.c_ulong(1)
    taken = vm_readv(pid, ctypes.byref(local), one, ctypes.byref(remote), one, ctypes.c_ulong(0))
    return buffer.raw if taken == size else None


def _read_by_write(address: int, size: int) -> bytes | None:
    """Have the kernel write the bytes to a file: for an invalid address it fails with EFAULT, or writes fewer."""
    try:
        fd = memory_file("pytest-ipc-read")
    except OSError:
        return None
    try:
        write = libc.raw_symbol("write")
        write.restype = ctypes.c_ssize_t
        written = write(ctypes.c_int(fd), ctypes.c_void_p(address), ctypes.c_size_t(size))
        return os.pread(fd, size, 0) if written == size else None
    finally:
        os.close(fd)


# As text.


def lines(number: int = _RECENT) -> list[str]:
    """Return the last events as text, in the order of time; those of children begin with their role, as "[child 2]"."""
    found = trace.events()
    roles = roles_of(found)
    calls = [event for event in found if event.is_call]
    return [
        f"[{roles.get(event.pid, event.pid)}] {as_text(event)}" if event.pid != _first(found) else as_text(event)
        for event in calls[-number:]
    ]


def _first(found: Sequence[Event]) -> int:
    return os.getpid() if not found or any(event.pid == os.getpid() for event in found) else found[0].pid


def roles_of(found: Iterable[Event]) -> dict[int, str]:
    """Return the names of the children by process id: "child 1", in the order of their forks."""
    forks = dict.fromkeys(event.arguments[0] for event in found if event.name == "(fork)")
    if len(forks) == 1:
        return dict.fromkeys(forks, "child")
    return {pid: f"child {number}" for number, pid in enumerate(forks, 1)}


def as_text(event: Event) -> str:
    """Return a call as strace(1) does: flags by name, structures by field."""
    shape = signature(event.name)
    known = shape is not None and len(shape.arguments) == len(event.arguments)
    shown = []
    for place, value in enumerate(event.arguments):
        kind = shape.arguments[place] if shape is not None and known else Kind("", "int")
        if kind.way == "ctl":
            kind = command_kind(kind.name, int(event.arguments[place - 1])) or Kind("", "none")
            if kind.name == "none" and not value:
                continue
        shown.append(show(kind, value))
    came = _result(event, shape.result if shape is not None else "int")
    return f"{event.name}({', '.join(shown)}) = {came}"


def _result(event: Event, kind: str) -> str:
    if event.end == NOT_RETURNED:
        return "?"
    if event.errno:
        came = event.result if signature(event.name) is None or kind == "errno" else -1
        came = -1 if came is None or came > 0xFFFF_FFFF else came
        return f"{came} {errno_name(event.errno)}"
    if event.result is None:
        return "NULL"
    return hex(event.result) if event.result > 0xFFFF_FFFF else str(event.result)


def show(kind: Kind, value: Value) -> str:
    """Return one argument as text."""
    if isinstance(value, dict):
        return _show_memory(value)
    if value is None:
        return "NULL"
    if kind.way == "flags":
        names, rest = flag_names(kind.name, value)
        return "|".join([*names, *([oct_(rest)] if rest or not names else [])])
    if kind.way == "command":
        return names_of(kind.name).get(value, str(value))
    if kind.name == "mode":
        return oct_(value)
    if kind.name == "addr" or value > 0xFFFF_FFFF:
        return hex(value) if value else "NULL"
    return str(int(value))


def oct_(number: int) -> str:
    """Return a number as C writes it in octal."""
    return f"0{number:o}" if number > 0 else str(number)


def _show_memory(value: dict[str, Value]) -> str:
    if "bytes" in value:
        return quoted(value["bytes"])
    if "array" in value:
        return f"[{', '.join(_show_memory(part) if isinstance(part, dict) else str(part) for part in value['array'])}]"
    if "struct" in value:
        fields = {name: part for name, part in value.items() if name not in ("struct", "in")}
        return (
            "{"
            + ", ".join(
                f"{name}={quoted(part) if isinstance(part, str) else oct_(part) if name == 'perm.mode' else part}"
                for name, part in fields.items()
                if part or not name.startswith("perm.")
            )
            + "}"
        )
    if "int" in value:
        return f"[{value['int']}]"
    return "&" if "out" in value else hex(value.get("at", 0)) if value.get("at") else "&"


def quoted(text: str, most: int = 40) -> str:
    """Return bytes, decoded as Latin-1, in quotes, shortened."""
    shown = "".join(sign if " " <= sign <= "~" and sign not in '"\\' else f"\\x{ord(sign):02x}" for sign in text[:most])
    return f'"{shown}"' + ("..." if len(text) > most else "")
