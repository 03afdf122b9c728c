"""Count how often each race is found, which should be every time.

    python -m tests.fault_injection.repeat [TIMES] [RACE...]
    python -m tests.fault_injection.repeat --clean LOAD [TIMES] [CLAUSE...]

A check under concurrency may miss a race. This repeats the check of every race TIMES times (default: 50) and prints how
often the race was found and how long that took; the exit status is 1 if one was missed. Not a test of every run: it
takes an hour. It needs a C compiler and, as the other fault injection tests, root.

With --clean no race is injected, LOAD processes are busy in the background, and no check may deviate.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from .interposer import compiled, interposed, judged
from .races import RACES, SOURCES


def main(arguments: list[str]) -> int:
    """Repeat the checks; return the exit status."""
    load = 0
    is_clean = arguments[:1] == ["--clean"]
    if is_clean:
        load, arguments = int(arguments[1]), arguments[2:]
    times = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 50
    wanted = "holds" if is_clean else "deviates"
    missed = 0
    with (
        tempfile.TemporaryDirectory() as name,
        busy(load),
        interposed(compiled(Path(name), SOURCES)) as process,
    ):
        for each in arguments or (sorted({*RACES.values()}) if is_clean else RACES):
            race, clause = (None, each) if is_clean else (each, RACES[each])
            found, took = 0, []
            for _ in range(times):
                begin = monotonic()
                verdict = judged(process, race, [clause], Path(name))[clause]
                took.append(monotonic() - begin)
                found += verdict["verdict"] == wanted
                if verdict["verdict"] != wanted:
                    print(f"{each}: {verdict['verdict']}: {verdict['reason']}", flush=True)
            missed += found < times
            print(f"{each}: {found} of {times}, {sum(took) / times:.1f} s each, at most {max(took):.1f} s", flush=True)
    return 1 if missed else 0


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Run *count* processes that only take the time of a CPU."""
    processes = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
