"""Faults of namespaces and capabilities, and the clauses that must detect each."""

FAULTS = {
    "unshare_moves_nobody": [
        "unshare.newipc-moves-the-caller",
        "unshare.newipc-parent-stays",
        "unshare.newuser-with-newipc",
        "unshare.newipc-only-the-calling-thread",
        "userns.maker-has-all-capabilities",
        "userns.ids-are-mapped",
        "userns.ids-before-the-map-overflow",
        "userns.power-over-own-ipc",
        "userns.sysvipc-ids-are-mapped",
    ],
    "unshare_zero_refused": ["unshare.zero-is-a-no-op"],
    "unshare_any_flag": ["unshare.invalid-flag-einval"],
    "unshare_needs_no_privilege": ["unshare.newipc-eperm"],
    "unshare_with_threads": ["unshare.newuser-threads-einval"],
    "setns_moves_nobody": [
        "setns.ipc-joins",
        "setns.nstype-0-any",
        "setns.only-the-calling-thread",
        "setns.pidfd-joins",
        "setns.userns-gives-capabilities",
        "unshare.newipc-undoes-semaphores",
    ],
    "setns_type_ignored": ["setns.nstype-mismatch-einval"],
    "setns_needs_a_type": ["setns.nstype-0-any"],
    "setns_wrong_errno": ["setns.ebadf"],
    "setns_any_file": ["setns.no-namespace-einval", "setns.userns-own-einval", "setns.pidfd-nstype-0-einval"],
    "setns_needs_no_privilege": ["setns.ipc-eperm"],
    "setns_dead_process": ["setns.pidfd-dead-esrch"],
    "capget_lower_half": ["userns.maker-has-all-capabilities"],
    "setns_only_says_so": [
        "ipc.ns-isolation",
        "ipc.ns-same-key-both-sides",
        "ipc.ns-fresh-defaults",
        "ipc.ns-sysvipc-per-namespace",
        "ipc.ns-ipcs-shows-the-namespace",
    ],
    "ipc_namespace_outlives_its_members": ["ipc.ns-destroyed-with-last-member"],
    "setns_joins_a_new_one": [
        "ipc.ns-visible-to-all-members",
        "ipc.ns-outlives-its-maker",
        "ipc.ns-forced-removal-per-namespace",
        "ipc.ns-sysctls-per-namespace",
    ],
}

# Faults that leak objects.
LEAKING = {"setns_only_says_so"}
