"""Run the command pytest-ipc as `python -m pytest_ipc`."""

import sys

from .cli import main

sys.exit(main())
