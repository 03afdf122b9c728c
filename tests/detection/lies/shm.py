"""Which clauses must catch which lie about System V shared memory."""

LIES = {
    "shmget_excl_ignored": ["shmget.excl-existing-key-eexist"],
    "shmget_private_is_a_key": ["shmget.private-always-new"],
    "shmget_creates_without_creat": ["shmget.nocreat-enoent"],
    "shmget_size_zero_accepted": ["shmget.below-shmmin-einval"],
    "shmget_umask_applied": ["shmget.init-mode-low9"],
    "shmget_size_doubled": ["shmctl.stat-segsz", "shmget.segsz-is-what-was-asked"],
    "shmget_larger_size_accepted": ["shmget.larger-size-einval"],
    "shmget_wrong_errno": ["shmget.excl-existing-key-eexist"],
    "shmat_rdonly_ignored": [
        "shmat.rdonly-write-sigsegv",
        "shmat.rdonly-mprotect-write-eacces",
        "shmat.mode-owner-read",
        "shmat.rdonly-needs-read-only",
    ],
    "shmat_unaligned_accepted": ["shmat.unaligned-einval"],
    "shmat_rnd_rounds_up": ["shmat.rnd-rounds-down"],
    "shmat_address_ignored": ["shmat.exact-aligned-address", "shmat.rnd-rounds-down", "shmat.occupied-addr-einval"],
    "shmat_remaps_always": ["shmat.occupied-addr-einval"],
    "shmat_private_copy": [
        "shmat.twice-two-addresses",
        "shm.change-seen-by-all",
        "shm.unrelated-processes-meet-by-key",
    ],
    "shmdt_does_nothing": ["shmdt.unmaps-sigsegv", "shmdt.updates-dtime-lpid-nattch", "shmctl.stat-nattch-counts"],
    "shmdt_rounds_down": ["shmdt.einval-unaligned"],
    "shmctl_rmid_does_nothing": [
        "shmctl.rmid-unattached-at-once",
        "shmctl.rmid-deferred",
        "shmctl.rmid-shm_dest",
        "shmctl.rmid-key-freed",
        "shmctl.rmid-exactly-one-succeeds",
    ],
    "shmctl_set_does_nothing": ["shmctl.set-mode", "shmctl.set-ctime", "shmctl.set-only-9-mode-bits"],
    "shmctl_lock_does_nothing": ["shmctl.lock-unlock-flag"],
    "shmctl_segsz_rounded": [
        "shmctl.stat-segsz",
        "shmget.segsz-is-what-was-asked",
        "shmget.size-rounded-mapping-not-segsz",
    ],
    "shmctl_nattch_wrong": [
        "shmctl.stat-nattch-counts",
        "shmat.updates-atime-lpid-nattch",
        "shm.fork-inherits",
        "shm.model",
    ],
    "shmctl_cpid_wrong": ["shmget.init-cpid"],
    "shmctl_dest_hidden": ["shmctl.rmid-shm_dest"],
    "shmctl_times_missing": ["shmget.init-ctime-now", "shmat.updates-atime-lpid-nattch"],
    "shmctl_limits_wrong": ["shmctl.ipc_info-matches-proc", "ipc.ns-sysctls-per-namespace"],
    "shm_errors_are_eio": [
        "ipc.execute-bits-ignored",
        "shmat.bad-id-einval",
        "shmat.eacces",
        "shmat.remap-null-einval",
        "shmctl.shm_stat-index",
        "shmget.hugetlb-eperm",
    ],
    "shmget_always_makes_one": [
        "shmget.creat-existing-returns-it",
        "shmget.creat-makes-segment-with-key",
        "shmget.lookup-existing",
        "shmget.size-zero-lookup",
    ],
    "shmctl_stat_of_another": [
        "shmget.init-cgid-gid",
        "shmget.init-cuid-uid",
        "shmget.init-euid-not-ruid",
        "shmget.init-zero-fields",
    ],
    "shmget_starts_used": ["shmget.zero-filled"],
    "ftok_knows_names_only": ["ftok.hardlink-same-key", "ftok.missing-path", "ftok.stable-same-inode"],
}

# Lies under which objects are really left behind.
LEAKING = {"shmctl_rmid_does_nothing"}
