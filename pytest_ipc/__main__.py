"""python -m pytest_ipc: the command pytest-ipc, for a Python whose scripts are not on the path."""

import sys

from .cli import main

sys.exit(main())
