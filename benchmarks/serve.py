"""The program of a worker: `python -m benchmarks.serve ROW`.

It writes a line of JSON with the names of the row's ways, and for each line "WAY LOOPS" of its input one with a sample.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from .row import NotMeasuredError
from .table import find

__all__: list[str] = []


def main() -> None:
    """Answer until the end of input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the row's own processes write does not come among the answers
    with find(sys.argv[1]).open() as ways:
        print(json.dumps(list(ways)), file=answers)
        for line in sys.stdin:
            name, loops = line.split()
            print(json.dumps(dataclasses.asdict(ways[name](int(loops)))), file=answers)


if __name__ == "__main__":
    try:
        main()
    except NotMeasuredError as reason:
        sys.exit(str(reason))
