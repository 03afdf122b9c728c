"""Ownership of IPC objects: on record before they exist, removed whatever ends their process."""

from ..unpatched import os

# The process id of the pytest-xdist controller whose worker this process is; set by the plugin. The environment does not tell:
# whatever a test starts inherits it.
controller = 0

# Who this process was when the plugin was loaded: a test may change the effective user before the first object is made.
user: int = os.geteuid()
