"""The measure of a deviation as C: the outcome of a call compared with what it should be."""

from __future__ import annotations

from collections.abc import Iterator

from ...kernel.errnos import errno_name
from ...kernel.trace import Value
from .c_text import string
from .c_values import member
from .steps import Missing, Program, Step

__all__ = ["Measure"]


class Measure:
    """Writes the comparison that decides whether the platform deviates."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def after_step(self, step: Step) -> Iterator[str]:
        """Yield the lines that compare the outcome of the measured step."""
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
        return f"{name}.{member(value['struct'], rest)}"

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
