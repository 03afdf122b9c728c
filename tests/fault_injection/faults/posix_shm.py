"""Faults of POSIX shared memory, and the clauses that must detect each."""

FAULTS = {
    "shm_open_excl_ignored": ["shm_open.model", "shm_open.excl-eexist", "shm_open.excl-atomic-race"],
    "shm_open_trunc_ignored": ["shm_open.trunc", "shm_open.rdonly-trunc-linux"],
    "shm_open_creates_without_creat": ["shm_open.enoent"],
    "shm_open_rdonly_is_rdwr": ["shm_open.rdonly-cannot-map-write", "shm_open.eacces"],
    "shm_open_mode_and_umask_ignored": ["shm_open.mode-umask", "shm_open.mode-low9"],
    "shm_open_another_each_time": [
        "shm_open.unrelated-processes-meet-by-name",
        "shm_open.fd-close-keeps-map",
        "shm_open.no-leading-slash",
        "shm_open.persistence",
        "shm_open.creat-opens-what-exists",
    ],
    "shm_open_hides_the_name": ["shm_open.longest-name", "shm_open.visible-in-dev-shm"],
    "shm_open_begins_with_a_page": ["shm_open.create-size-zero", "shm_unlink.new-object-distinct"],
    "shm_open_inner_slash_accepted": ["shm_open.name-inner-slash-einval"],
    "shm_open_long_name_cut": ["shm_open.enametoolong-component"],
    "shm_open_no_cloexec": ["shm_open.cloexec"],
    "shm_open_highest_descriptor": ["shm_open.lowest-fd"],
    "shm_open_errors_are_eio": [
        "shm_open.excl-eexist",
        "shm_open.emfile",
        "shm_open.enametoolong-path_max",
        "shm_open.fchmod-effective",
        "shm_unlink.enametoolong",
    ],
    "shm_unlink_does_nothing": ["shm_unlink.name-gone-content-stays", "shm_unlink.enoent"],
    "shm_unlink_empties": ["shm_unlink.name-gone-content-stays"],
    "shm_unlink_missing_is_no_error": ["shm_unlink.enoent"],
}
