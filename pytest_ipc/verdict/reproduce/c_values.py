"""The arguments of calls as C: numbers by their names, and memory as declared variables."""

from __future__ import annotations

from typing import Any

from ...kernel.signatures import Kind, flag_names, names_of
from ...kernel.trace import Value
from .c_text import string
from .steps import Argument, Missing, Step
from .text import is_elsewhere

__all__ = ["Values", "member"]

_FIELDS = {
    "msqid_ds": {
        "stime": "msg_stime",
        "rtime": "msg_rtime",
        "ctime": "msg_ctime",
        "cbytes": "msg_cbytes",
        "qnum": "msg_qnum",
        "qbytes": "msg_qbytes",
        "lspid": "msg_lspid",
        "lrpid": "msg_lrpid",
    },
    "semid_ds": {"otime": "sem_otime", "ctime": "sem_ctime", "nsems": "sem_nsems"},
    "shmid_ds": {
        "segsz": "shm_segsz",
        "atime": "shm_atime",
        "dtime": "shm_dtime",
        "ctime": "shm_ctime",
        "cpid": "shm_cpid",
        "lpid": "shm_lpid",
        "nattch": "shm_nattch",
    },
    "mq_attr": {"flags": "mq_flags", "maxmsg": "mq_maxmsg", "msgsize": "mq_msgsize", "curmsgs": "mq_curmsgs"},
    "epoll_event": {"data": "data.u64"},
    "flock64": {"type": "l_type", "whence": "l_whence", "start": "l_start", "len": "l_len", "pid": "l_pid"},
    "itimerspec": {
        "interval.tv_sec": "it_interval.tv_sec",
        "interval.tv_nsec": "it_interval.tv_nsec",
        "value.tv_sec": "it_value.tv_sec",
        "value.tv_nsec": "it_value.tv_nsec",
    },
}
_PERM = {"msqid_ds": "msg_perm", "semid_ds": "sem_perm", "shmid_ds": "shm_perm"}
_STRUCTS = {"flock64": "flock", "abstime": "timespec"}
_SETTABLE = {
    "msqid_ds": ("perm.uid", "perm.gid", "perm.mode", "qbytes"),
    "semid_ds": ("perm.uid", "perm.gid", "perm.mode"),
    "shmid_ds": ("perm.uid", "perm.gid", "perm.mode"),
}
_PLAIN = {"int": "int", "uint": "unsigned", "ushort": "unsigned short", "off": "off_t", "fd": "int", "gid": "gid_t"}


class Values:
    """Writes arguments; `used` has the constants in them, which an older libc may lack."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}

    def written(self, step: Step, place: int, argument: Argument) -> tuple[str, str]:
        """Return the declaration that an argument needs, and the argument."""
        kind, value = argument.kind, argument.value
        if kind.name == "none":
            return "", ""
        if isinstance(value, dict):
            return self._memory(step, place, kind, value)
        if argument.role is not None:
            role = argument.role
            return "", f"s->pid[{role}]" if role >= 0 else f"-s->pid[{-role - 1}]"
        if argument.variable:
            cast = {"addr": "(void *)", "sem": "(sem_t *)"}.get(kind.name, "(int)")
            return "", f"{cast}{argument.variable}"
        return "", self._number(kind, value)

    def _number(self, kind: Kind, value: int | None) -> str:
        if value is None or (kind.is_pointer and value == 0):
            return "NULL"
        if kind.way == "flags":
            names, rest = flag_names(kind.name, value)
            self._use(kind.name, names)
            return " | ".join([*names, *([f"0{rest:o}" if rest > 0 else str(rest)] if rest or not names else [])])
        if kind.way == "command":
            name = names_of(kind.name).get(value)
            if name is not None:
                self._use(kind.name, [name])
            return name or str(value)
        if kind.name == "mode":
            return f"0{value:o}" if value >= 0 else str(value)
        if kind.name in ("addr", "sem"):
            return f"(void *){value:#x}" if value else "NULL"
        if value == -(1 << 63):
            return "LONG_MIN"
        if value > 0x7FFF_FFFF or value < -0x8000_0000:
            return f"{value}{'UL' if value > 0x7FFF_FFFF_FFFF_FFFF else 'L'}"
        return str(value) if value != -0x8000_0000 else "INT_MIN"

    def _use(self, group: str, names: list[str]) -> None:
        numbers = {name: number for number, name in names_of(group).items()}
        for name in names:
            if name in numbers and not name.startswith("SIG"):
                self.used[name] = numbers[name]

    def _memory(self, step: Step, place: int, kind: Kind, value: dict[str, Any]) -> tuple[str, str]:
        name = f"a{step.number}_{place}"
        if value.get("bad") or "at" in value:
            return "", f"(void *){value.get('at') or 16:#x}"
        if "handler" in value and "struct" not in value:
            return "", "handler"
        if "in" in value:
            before = value["in"]
            if "struct" not in before:
                return self._memory(step, place, kind, before)
            return self._structure(name, kind, before, is_read=True)
        if "out" in value:
            return self._unwritten(step, name, kind)
        if "int" in value:
            return f"static {_PLAIN.get(kind.name, 'int')} {name} = {value['int']};", f"&{name}"
        if "bytes" in value:
            return self._bytes(step, name, kind, value["bytes"])
        if "array" in value:
            return self._array(name, kind, value["array"])
        return self._structure(name, kind, value, step=step)

    def _unwritten(self, step: Step, name: str, kind: Kind) -> tuple[str, str]:
        if kind.name == "bytes":
            return f"static char {name}[{max(step.event.arguments[2], 0) + 1}];", name
        if kind.name == "msgbuf":
            size = step.event.arguments[2]
            size = size if 0 <= size < 1 << 24 else 16
            return f"static struct {{ long type; char text[{size + 1}]; }} {name};", f"&{name}"
        if kind.name == "fd":
            return f"static int {name}[2];", name
        if kind.name in _PLAIN:
            size, reference = ("[1000]", name) if kind.number else ("", f"&{name}")
            return f"static {_PLAIN[kind.name]} {name}{size};", reference
        if kind.name == "epoll_event":
            return f"static struct epoll_event {name}[1000];", name
        return f"static struct {_STRUCTS.get(kind.name, kind.name)} {name};", f"&{name}"

    def _bytes(self, step: Step, name: str, kind: Kind, text: str) -> tuple[str, str]:
        if kind.way == "out":
            size = max(int(step.event.arguments[2]), len(text), 0)
            return f"static char {name}[{size + 1}];", name
        if kind.name in ("path", "name"):
            return "", self.path(kind, text)
        if len(text) > 64 and len(set(text)) == 1:
            return f"static char {name}[{len(text) + 1}];\n    memset({name}, {ord(text[0])}, {len(text)});", name
        return "", string(text)

    @staticmethod
    def path(kind: Kind, path: str) -> str:
        if kind.name == "name" or is_elsewhere(path):
            return string(path, 100_000)
        return string(path.rstrip("/").rpartition("/")[2], 100_000)

    def _array(self, name: str, kind: Kind, parts: list[Value]) -> tuple[str, str]:
        if kind.name == "sigset":
            return "", name
        if kind.name == "rlimit":
            limits = ", ".join("RLIM_INFINITY" if part < 0 else str(part) for part in parts)
            return f"static struct rlimit {name} = {{{limits}}};", f"&{name}"
        if kind.name == "sembuf":
            shown = []
            for part in parts:
                names, rest = flag_names("semflag", part["sem_flg"])
                flags = " | ".join([*names, *([str(rest)] if rest or not names else [])])
                shown.append(f"{{{part['sem_num']}, {part['sem_op']}, {flags}}}")
            return f"static struct sembuf {name}[] = {{{', '.join(shown) or '{0, 0, 0}'}}};", name
        if kind.name in _PLAIN and all(isinstance(part, int) for part in parts):
            size = max(len(parts), 1)
            first = "" if kind.way == "out" else f" = {{{', '.join(map(str, parts)) or '0'}}}"
            return f"static {_PLAIN[kind.name]} {name}[{size}]{first};", name
        if kind.name == "epoll_event" and kind.way == "out":
            return f"static struct epoll_event {name}[1000];", name
        raise Missing(f"how to write an array of {kind.name} in C")

    def _structure(
        self, name: str, kind: Kind, value: dict[str, Any], *, step: Step | None = None, is_read: bool = False
    ) -> tuple[str, str]:
        struct = value["struct"]
        if struct == "msgbuf" and step is not None:
            return self._message(step, name, kind, value)
        if struct == "abstime":
            return f"struct timespec {name} = in_time({value['after']:.6f});", f"&{name}"
        if kind.way == "out" and not is_read:
            return f"static struct {_STRUCTS.get(struct, struct)} {name};", f"&{name}"
        if struct == "sigaction":
            return self._action(name, value)
        fields = [
            (field, part)
            for field, part in value.items()
            if field != "struct" and (struct not in _SETTABLE or field in _SETTABLE[struct])
        ]
        shown = ", ".join(
            f".{member(struct, field)} = {f'0{part & 0o7777:o}' if field == 'perm.mode' else part}"
            for field, part in fields
        )
        return f"struct {_STRUCTS.get(struct, struct)} {name} = {{{shown}}};", f"&{name}"

    def _action(self, name: str, value: dict[str, Any]) -> tuple[str, str]:
        names, rest = flag_names("sa", value["flags"] & 0xFFFF_FFFF & ~0x0400_0000)
        flags = " | ".join([*names, *([hex(rest)] if rest or not names else [])])
        function = {0: "SIG_DFL", 1: "SIG_IGN"}.get(value.get("handler", 0), "handler")
        lines = [f"struct sigaction {name} = {{.sa_handler = {function}, .sa_flags = (int)({flags})}};"]
        signals = [names_of("signal").get(signo, str(signo)) for signo in value.get("mask", ())]
        lines += [f"sigaddset(&{name}.sa_mask, {signal});" for signal in signals]
        return "\n    ".join(lines), f"&{name}"

    def _message(self, step: Step, name: str, kind: Kind, value: dict[str, Any]) -> tuple[str, str]:
        if kind.way == "out":
            return self._unwritten(step, name, kind)
        type, text = self._number(Kind("", "long"), value["type"]), value["text"]
        if len(text) > 64 and len(set(text)) == 1:
            declared = f"static struct {{ long type; char text[{len(text) + 1}]; }} {name} = {{.type = {type}}};"
            return f"{declared}\n    memset({name}.text, {ord(text[0])}, {len(text)});", f"&{name}"
        return (
            f"static struct {{ long type; char text[{len(text) + 1}]; }} {name} = {{{type}, {string(text)}}};",
            f"&{name}",
        )


def member(struct: str, field: str) -> str:
    """Return a field of a trace as the member of a struct in C."""
    if field.startswith("perm."):
        name = field.removeprefix("perm.")
        return f"{_PERM[struct]}.{ {'key': '__key', 'seq': '__seq'}.get(name, name) }"
    if field == "text":
        return "text"
    return _FIELDS.get(struct, {}).get(field, field)
