"""What clauses need of a machine: one identifier for each thing that a clause may be untested or absent without.

The identifiers are in reports and stay for ever. verdict/platform/needs.py says how each need is probed and what would
change it.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Need"]


class Need(Enum):
    """A thing that a clause cannot be tried without; the value is its identifier in reports."""

    OTHER_USERS = "other-users"
    FILES_OF_OTHERS = "files-of-other-users"
    CAP_SYS_RESOURCE = "cap-sys-resource"
    CAP_SYS_ADMIN = "cap-sys-admin"
    CAP_IPC_OWNER = "cap-ipc-owner"
    CAP_IPC_LOCK = "cap-ipc-lock"
    CAP_SYS_PTRACE = "cap-sys-ptrace"
    TRACING = "tracing"
    APPEND_ONLY_FILES = "append-only-files"
    IPC_NAMESPACES = "ipc-namespaces"
    NETWORK_NAMESPACES = "network-namespaces"
    PID_NAMESPACES = "pid-namespaces"
    USER_NAMESPACES = "user-namespaces"
    MOUNTS = "mounts"
    NAMESPACE_LIMITS = "namespace-limits"
    SETTABLE_LIMITS = "settable-limits"
    WHOLE_MACHINE = "whole-machine"
    MACHINE_LIMITS = "machine-limits"
    PROCESS_LIMITS = "process-limits"
    PROC_FILES = "proc-files"
    FIXTURES = "fixtures"
    RESOURCES = "resources"
    NEWER_KERNEL = "newer-kernel"
    OTHER_KERNEL = "other-kernel"
    SYSTEM_CALLS = "system-calls"
    LIBC_FUNCTIONS = "libc-functions"
    ARCHITECTURE = "architecture"
    SHARED_MEMORY_FILES = "shared-memory-files"
    FILE_SYSTEM = "file-system"
    NETWORK = "network"
    TERMINALS = "terminals"
    CGROUPS = "cgroups"
    HUGE_PAGES = "huge-pages"
    CORE_FILES = "core-files"
    PROGRAMS = "programs"
    SECCOMP = "seccomp"
    TIME = "time"
    OTHER = "other"  # a need of a project's own clauses
