"""A reproducer as C source: one file, no dependency but libc."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...kernel.errnos import errno_name
from ...kernel.signatures import Kind, flag_names, names_of
from ...kernel.trace import Value
from .c_text import string
from .steps import Argument, Missing, Program, Step
from .text import Words, comment, is_elsewhere

__all__ = ["source"]

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

_HEAD = r"""#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <grp.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

/* Shared by all processes. */
static volatile struct {
    long value[VALUES + 1];
    long result[STEPS];
    int error[STEPS];
    int begun[STEPS], done[STEPS];
    pid_t pid[ROLES];
    int ended[ROLES];
    int other; /* a step before the deviation had another outcome than observed: its number, from 1 */
    int deviates, measured;
} *s;

/* The steps have numbers in the order in which they were observed to begin; s->begun and s->done are for waiting. */

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {}
}

static void clean_up(void);

static void finish(int status)
{
    clean_up();
    fflush(stdout);
    _exit(status);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Wait for a word of another process, for at most `seconds`. */
__attribute__((unused)) static int comes(volatile int *word, double seconds)
{
    for (double until = now() + seconds; !*word && now() < until;)
        pause_ms(1);
    return *word;
}

/* Wait until a step of another process has returned. */
__attribute__((unused)) static void after(int step)
{
    if (comes(&s->done[step], 10))
        return;
    if (!s->measured)
        printf("step %d did not return: not judged\n", step + 1);
    finish(s->measured ? s->deviates : 2);
}

/* Wait until a step of another process sleeps in its call, or has returned. */
__attribute__((unused)) static void asleep(int step)
{
    if (comes(&s->begun[step], 10))
        comes(&s->done[step], 0.3);
}

/* A call of which `expected` is the errno that was observed, 0 for success. */
#define CALL(step, expected, failed, call) do { \
    s->begun[step] = 1; \
    errno = 0; \
    long r_ = (long)(call); \
    s->error[step] = r_ == (failed) ? errno : 0; \
    s->result[step] = r_; \
    if ((s->error[step] != 0) != ((expected) != 0) && (step) != MEASURED && !s->other) \
        s->other = (step) + 1; \
    s->done[step] = 1; \
} while (0)

__attribute__((unused)) static struct timespec in_time(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double when = (double)t.tv_sec + (double)t.tv_nsec / 1e9 + seconds;
    t.tv_sec = (time_t)when;
    t.tv_nsec = (long)((when - (double)t.tv_sec) * 1e9);
    return t;
}

__attribute__((unused)) static volatile sig_atomic_t caught;

__attribute__((unused)) static void handler(int signo)
{
    (void)signo;
    caught++;
}
"""

_TAIL = r"""
static char folder[] = "/tmp/reproduce-XXXXXX";

/* Remove what outlives its processes. */
static void clean_up(void)
{
    for (int role = 1; role < ROLES; role++)
        if (s->pid[role] > 0 && !s->ended[role] && s->pid[role] != getpid())
            kill(s->pid[role], SIGKILL);
CLEANUP    if (chdir("/") == 0)
        rmdir(folder);
}

int main(void)
{
    s = mmap(0, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED || !mkdtemp(folder) || chdir(folder) != 0) {
        perror("cannot begin");
        return 2;
    }
    s->pid[0] = getpid();
    printf("%s\n", statement);
    fflush(stdout);
    role_parent();
MEASURE_AT_END    printf("expected: %s\n", expected);
    if (!s->measured) {
        printf("the deviating call was not reached\n");
        finish(2);
    }
    if (s->deviates && s->other) {
        printf("step %d went differently than on the platform of the report: not judged\n", s->other);
        finish(2);
    }
    printf("%s\n", s->deviates ? "this platform deviates" : "this platform does not deviate");
    finish(s->deviates);
}
"""


def source(program: Program, words: Words) -> str:
    """Return the source. Missing, if C cannot express a value."""
    writer = _Writer(program)
    names = "".join(f"#define {name} (s->value[{place}])\n" for place, name in enumerate(program.variables))
    constants = "".join(
        f"#ifndef {name}\n#define {name} {value}\n#endif\n" for name, value in sorted(writer.constants().items())
    )
    functions = writer.roles()
    head = [
        comment(words.heading(), "/* ", " * ", "\n */"),
        f"#define VALUES {len(program.variables)}",
        f"#define STEPS {max(step.number for step in program.steps) + 1}",
        f"#define ROLES {len(program.roles)}",
        f"#define MEASURED {program.measured}",
        _HEAD,
        f"static const char statement[] = {string(words.statement)};",
        f"static const char expected[] = {string(words.expected)};\n",
    ]
    tail = _TAIL.replace("MEASURE_AT_END", writer.at_end()).replace("CLEANUP", writer.cleanup())
    return "\n".join(head) + names + constants + "\n" + functions + tail


class _Writer:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._used: dict[str, int] = {}
        self._bodies = {number: "".join(self._body(number)) for number in range(len(program.roles))}

    def constants(self) -> dict[str, int]:
        """Return the constants used, which an older libc may lack."""
        return self._used

    def roles(self) -> str:
        """Return the functions of all processes, children before their parents."""
        made = [self._function(number) for number in reversed(range(len(self._program.roles)))]
        declared = "".join(
            f"__attribute__((unused)) static void role_{role.name}(void);\n" for role in self._program.roles[1:]
        )
        return declared + "\n" + "\n".join(made)

    def _function(self, number: int) -> str:
        role = self._program.roles[number]
        end = "" if number == 0 else "    _exit(0);\n" if role.ends else "    for (;;)\n        pause();\n"
        return f"static void role_{role.name}(void)\n{{\n{self._bodies[number]}{end}}}\n"

    def _body(self, number: int) -> Iterator[str]:
        for step in self._program.steps:
            if step.role == number and not self._program.is_left_out(step):
                yield from self._step(step)

    def _step(self, step: Step) -> Iterator[str]:
        for name, steps in (("after", step.after), ("asleep", step.asleep)):
            for other in steps:
                if not self._program.is_left_out(self._program.step(other)):
                    yield f"    {name}({other});\n"
        if step.name == "(fork)":
            child = self._program.roles[step.other]
            yield f"    s->begun[{step.number}] = 1;\n"
            yield f"    s->pid[{step.other}] = fork();\n"
            yield f"    if (s->pid[{step.other}] == 0) {{\n        s->pid[{step.other}] = getpid();\n"
            yield f"        role_{child.name}();\n    }}\n    s->done[{step.number}] = 1;\n"
        elif step.name == "(signal)":
            number = step.event.arguments[1]
            signo = names_of("signal").get(number, str(number))
            yield f"    kill(s->pid[{step.other}], {signo});\n    s->done[{step.number}] = 1;\n"
        elif step.name == "(end)":
            yield from self._end(step)
        elif step.name in ("(asleep)", "(exit)", "(nothing)"):
            yield f"    s->done[{step.number}] = 1;\n"
        else:
            yield from self._call(step)
        if step.number == self._program.measured and self._program.measure["what"] not in ("sleeps", "returns"):
            yield from self._measure(step)

    def _end(self, step: Step) -> Iterator[str]:
        yield (
            f"    {{\n        int status = 0;\n        waitpid(s->pid[{step.other}], &status, 0);\n"
            f"        s->ended[{step.other}] = 1;\n"
            f"        s->result[{step.number}] = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);\n"
            f"        s->done[{step.number}] = 1;\n    }}\n"
        )

    def _call(self, step: Step) -> Iterator[str]:
        n = step.number
        shown = []
        for place, argument in enumerate(step.arguments):
            declared, text = self._argument(step, place, argument)
            if declared:
                yield f"    {declared}\n"
            if text:
                shown.append(text)
        name, failed = step.name, "-1"
        if name in ("msgctl", "shmctl") and len(shown) == 2:
            shown.append("NULL")
        if name == "semctl" and len(shown) > 3:
            shown[3] = f"(union semun){{{_semun(step.arguments[3])} = {shown[3]}}}"
        elif name == "signal":
            failed = "(long)SIG_ERR"
        elif name == "sem_open":
            failed = "(long)SEM_FAILED"
        elif name == "sigmask":
            yield f"    sigset_t set{n};\n    sigemptyset(&set{n});\n"
            for signo in step.event.arguments[1]["array"]:
                yield f"    sigaddset(&set{n}, {names_of('signal').get(signo, str(signo))});\n"
            name, shown = "sigprocmask", [shown[0], f"&set{n}", "NULL"]
        elif step.shape.result == "errno":
            name, shown = "", [f"(errno = {name}({', '.join(shown)})) ? -1 : 0"]
        expected = errno_name(step.event.errno) if step.event.errno else "0"
        yield f"    CALL({n}, {expected}, {failed}, {name}({', '.join(shown)}));\n"
        for where, variable in step.gives.items():
            if where == "result":
                yield f"    {variable} = s->result[{n}];\n"
            else:
                position, _, number = where.partition(".")
                yield f"    {variable} = a{n}_{position}[{number}];\n"

    def _argument(self, step: Step, place: int, argument: Argument) -> tuple[str, str]:
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
                self._used[name] = numbers[name]

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
        return f"static struct {_STRUCTS.get(kind.name, kind.name)} {name};", f"&{name}"

    def _bytes(self, step: Step, name: str, kind: Kind, text: str) -> tuple[str, str]:
        if kind.way == "out":
            size = max(int(step.event.arguments[2]), len(text), 0)
            return f"static char {name}[{size + 1}];", name
        if kind.name in ("path", "name"):
            return "", self._path(kind, text)
        if len(text) > 64 and len(set(text)) == 1:
            return f"static char {name}[{len(text) + 1}];\n    memset({name}, {ord(text[0])}, {len(text)});", name
        return "", string(text)

    def _path(self, kind: Kind, path: str) -> str:
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
            f".{_member(struct, field)} = {f'0{part & 0o7777:o}' if field == 'perm.mode' else part}"
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

    def _measure(self, step: Step) -> Iterator[str]:
        measure, n = self._program.measure, step.number
        if measure["what"] == "errno":
            wanted = [errno_name(errno) for errno in measure["errnos"]]
            holds = " || ".join(f"s->error[{n}] == {name}" for name in wanted) or f"s->error[{n}] == 0"
            error = f's->error[{n}] ? strerror(s->error[{n}]) : "success"'
            seen = f'"observed: %s, result %ld\\n", {error}, s->result[{n}]'
        else:
            holds, seen = self._value_check(step)
        yield f"    s->measured = 1;\n    s->deviates = !({holds});\n    printf({seen});\n    fflush(stdout);\n"

    def _value_check(self, step: Step) -> tuple[str, str]:
        measure = self._program.measure
        output, relation, value = measure["output"], measure["relation"], measure["value"]
        if isinstance(value, dict) and "bytes" in value:
            return self._bytes_check(step, output, relation, value["bytes"])
        if isinstance(value, dict):
            return self._array_check(step, output, relation, value["array"])
        found = self._output(step, output)
        wanted = f"{value}L" if abs(value) < 1 << 63 else f"{value}UL"
        if self._program.expected_role is not None:
            wanted = f"(long)s->pid[{self._program.expected_role}]"
        elif self._program.expected_variable:
            wanted = self._program.expected_variable
        elif output.endswith("key") and value:
            wanted = f"(long){value}"
        return f"(long){found} {relation} {wanted}", f'"observed: %ld\\n", (long){found}'

    def _output(self, step: Step, output: str) -> str:
        if output == "result":
            return f"s->result[{step.number}]"
        place, _, rest = output.partition(".")
        name = f"a{step.number}_{place}"
        if not rest:
            return name
        if rest.isdigit():
            return f"{name}[{rest}]"
        value = step.arguments[int(place)].value
        return f"{name}.{_member(value['struct'], rest)}"

    def _bytes_check(self, step: Step, output: str, relation: str, text: str) -> tuple[str, str]:
        if relation not in ("==", "!="):
            raise Missing(f"how to compare bytes by {relation}")
        place, _, rest = output.partition(".")
        name = f"a{step.number}_{place}" + (f".{rest}" if rest else "")
        size = len(text)
        if size > 64 and len(set(text)) == 1:
            same = f"{name}[0] == (char){ord(text[0])} && memcmp({name}, {name} + 1, {size - 1}) == 0"
        else:
            same = f"memcmp({name}, {string(text, 70_000)}, {size}) == 0"
        equal = f"s->result[{step.number}] == {size} && {same}" if size else f"s->result[{step.number}] == 0"
        length = f"(int)(s->result[{step.number}] < 60 ? s->result[{step.number}] : 60)"
        seen = f'"observed: %ld bytes, \\"%.*s\\"\\n", s->result[{step.number}], {length}, {name}'
        return (equal if relation == "==" else f"!({equal})"), seen

    def _array_check(self, step: Step, output: str, relation: str, parts: list[Value]) -> tuple[str, str]:
        name = f"a{step.number}_{output}"
        same = " && ".join(f"{name}[{place}] == {part}" for place, part in enumerate(parts))
        if len(parts) != len(step.arguments[int(output)].value["array"]):
            raise Missing("an array of the expected length")
        shown = " ".join("%d" for _ in parts)
        values = ", ".join(f"{name}[{place}]" for place in range(len(parts)))
        return (same if relation == "==" else f"!({same})"), f'"observed: {shown}\\n", {values}'

    def at_end(self) -> str:
        """Return the measure that the parent takes after its own steps."""
        n, what = self._program.measured, self._program.measure["what"]
        if what in ("sleeps", "returns"):
            wait = f"    comes(&s->done[{n}], 3);\n"
            deviates = f"{'' if what == 'sleeps' else '!'}s->done[{n}]"
            return (
                f"    asleep({n});\n{wait if what == 'returns' else ''}"
                f"    s->measured = s->begun[{n}];\n    s->deviates = {deviates};\n"
                f'    printf("observed: the call %s\\n", s->done[{n}] ? "returned" : "sleeps");\n'
            )
        if self._program.step(n).role == 0:
            return ""
        waits = f"    asleep({n});\n    if (s->done[{n}])\n        comes(&s->measured, 3);\n"
        if what == "errno" and not self._program.measure["errnos"]:  # a call that must not fail may also sleep
            waits += f"    if (!s->measured && s->begun[{n}] && !s->done[{n}])\n        s->measured = 1;\n"
        return waits

    def cleanup(self) -> str:
        """Return the removal of objects that outlive processes."""
        lines = []
        control = {"msqid": "msgctl({}, IPC_RMID, NULL)", "semid": "semctl({}, 0, IPC_RMID)"}
        control |= {"shmid": "shmctl({}, IPC_RMID, NULL)"}
        created = {
            variable
            for step in self._program.steps
            for variable in step.gives.values()
            if self._program.variables[variable] in control
        }
        for name in sorted(created):
            removal = control[self._program.variables[name]].format(f"(int){name}")
            lines.append(f"    if ({name} || s->done[{self._definer(name)}])\n        {removal};\n")
        removals = {"mq_open": "mq_unlink", "shm_open": "shm_unlink", "sem_open": "sem_unlink"}
        removals |= {"open": "unlink", "mkfifo": "unlink", "link": "unlink"}
        for step in self._program.steps:
            if step.name in removals:
                for argument in step.arguments:
                    if isinstance(argument.value, dict) and "bytes" in argument.value:
                        text = self._path(argument.kind, argument.value["bytes"])
                        if argument.kind.name == "name" or not is_elsewhere(argument.value["bytes"]):
                            lines.append(f"    {removals[step.name]}({text});\n")
        return "".join(dict.fromkeys(lines))

    def _definer(self, variable: str) -> int:
        return next(step.number for step in self._program.steps if variable in step.gives.values())


def _semun(argument: Argument) -> str:
    if argument.kind.name in ("int", "none"):
        return ".val"
    return {"ushort": ".array", "seminfo": ".info"}.get(argument.kind.name, ".buf")


def _member(struct: str, field: str) -> str:
    if field.startswith("perm."):
        name = field.removeprefix("perm.")
        return f"{_PERM[struct]}.{ {'key': '__key', 'seq': '__seq'}.get(name, name) }"
    if field == "text":
        return "text"
    return _FIELDS.get(struct, {}).get(field, field)
