"""All IPC objects of the system, of any creator: the inventory, their users, and orphans without a user."""
