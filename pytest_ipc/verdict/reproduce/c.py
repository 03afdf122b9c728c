"""A reproducer as C source: one file, no dependency but libc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...kernel.errnos import errno_name
from ...kernel.signatures import names_of
from .c_measure import Measure
from .c_text import string
from .c_values import Values
from .steps import Argument, Program, Step
from .text import Words, comment, is_elsewhere

__all__ = ["source"]

_SEQUENCE = Path(__file__).parent / "sequence"


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
        (_SEQUENCE / "head.c").read_text(),
        f"static const char statement[] = {string(words.statement)};",
        f"static const char expected[] = {string(words.expected)};\n",
    ]
    tail = (_SEQUENCE / "main.c").read_text().replace("MEASURE_AT_END", Measure(program).at_end())
    tail = tail.replace("FILES", writer.files()).replace("CLEANUP", writer.cleanup())
    return "\n".join(head) + names + constants + "\n" + functions + tail


class _Writer:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._values = Values()
        self._measure = Measure(program)
        self._bodies = {number: "".join(self._body(number)) for number in range(len(program.roles))}

    def constants(self) -> dict[str, int]:
        """Return the constants used, which an older libc may lack."""
        return self._values.used

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
            yield from self._measure.after_step(step)

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
            declared, text = self._values.written(step, place, argument)
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

    def files(self) -> str:
        """Return the creation of the files that are there before the first call."""
        made = (f"open({string(name)}, O_CREAT | O_WRONLY, 0600)" for name in self._program.files())
        return "".join(f"    close({each});\n" for each in made)

    def cleanup(self) -> str:
        """Return the removal of objects that outlive processes."""
        lines = [f"    unlink({string(name)});\n" for name in self._program.files()]
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
                        text = Values.path(argument.kind, argument.value["bytes"])
                        if argument.kind.name == "name" or not is_elsewhere(argument.value["bytes"]):
                            lines.append(f"    {removals[step.name]}({text});\n")
        return "".join(dict.fromkeys(lines))

    def _definer(self, variable: str) -> int:
        return next(step.number for step in self._program.steps if variable in step.gives.values())


def _semun(argument: Argument) -> str:
    if argument.kind.name in ("int", "none"):
        return ".val"
    return {"ushort": ".array", "seminfo": ".info"}.get(argument.kind.name, ".buf")
