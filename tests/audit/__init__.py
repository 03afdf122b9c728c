"""IPC objects of the machine: their users, which of them are orphans, and their removal."""
