"""Faults of the memory of other processes, and the clauses that must detect each."""

FAULTS = {
    "process_vm_is_refused": ["process_vm.same-user", "process_vm.oneself", "process_vm.cap_sys_ptrace"],
    "process_vm_is_one_s_own": ["process_vm_readv.reads", "process_vm_writev.writes", "process_vm.esrch"],
    "process_vm_takes_the_first_range_only": [
        "process_vm.many",
        "process_vm_readv.vectors",
        "process_vm_writev.vectors",
    ],
    "process_vm_goes_backwards": ["process_vm_readv.vectors", "process_vm_writev.vectors"],
    "process_vm_never_fails": [
        "process_vm.esrch",
        "process_vm.flags-einval",
        "process_vm.local-efault",
        "process_vm.more-capabilities-eperm",
        "process_vm.not-dumpable-eperm",
        "process_vm.other-ids-eperm",
        "process_vm.remote-efault",
        "process_vm.sum-einval",
        "process_vm.too-many-einval",
        "process_vm_writev.read-only-efault",
    ],
    "process_vm_moves_all_or_nothing": ["process_vm.partial", "process_vm.partial-pages"],
    "process_vm_counts_what_was_asked_for": ["process_vm.partial", "process_vm.local-checked-first"],
}
