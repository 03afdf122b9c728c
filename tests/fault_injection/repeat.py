"""Count how often each race is found, which should be every time.

    python -m tests.fault_injection.repeat [TIMES] [RACE...]

A check under concurrency may miss a race. This repeats the check of every race TIMES times (default: 50) and prints how
often the race was found and how long that took; the exit status is 1 if one was missed. Not a test of every run: it
takes an hour. It needs a C compiler and, as the other fault injection tests, root.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import monotonic

from .interposer import compiled, interposed, judged
from .races import RACES, SOURCES


def main(arguments: list[str]) -> int:
    """Repeat the checks; return the exit status."""
    times = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 50
    missed = 0
    with tempfile.TemporaryDirectory() as name, interposed(compiled(Path(name), SOURCES)) as process:
        for race in arguments or RACES:
            found, took = 0, []
            for _ in range(times):
                begin = monotonic()
                verdict = judged(process, race, [RACES[race]], Path(name))[RACES[race]]
                took.append(monotonic() - begin)
                found += verdict["verdict"] == "deviates"
            missed += found < times
            print(f"{race}: {found} of {times}, {sum(took) / times:.1f} s each, at most {max(took):.1f} s", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
