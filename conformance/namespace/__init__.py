"""IPC namespaces (ipc_namespaces(7)): what is inside is seen from inside, and goes with the last process."""
