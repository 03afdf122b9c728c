"""IPC objects and their users, whoever created them: what is there, who uses it, and what nobody lives to use."""
