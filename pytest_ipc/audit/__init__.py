"""All IPC objects of the system, whoever created them: the inventory, their users, and orphans without a user."""
