"""Ownership of IPC objects: recorded before they exist, removed however their process ends."""

from ..unpatched import os

# Process id of the pytest-xdist controller of this worker; set by the plugin. The environment cannot give it, as
# programs that a test starts inherit it.
controller = 0

# Effective user when the plugin was loaded; a test may change it before the first object is created.
user: int = os.geteuid()
