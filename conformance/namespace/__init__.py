"""IPC namespaces (ipc_namespaces(7)): isolation of objects and limits, and the lifetime of a namespace."""
