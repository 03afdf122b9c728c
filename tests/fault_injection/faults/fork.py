"""Faults of the attributes that a child inherits, and of its end, and the clauses that must detect each."""

FAULTS = {
    "pdeathsig_is_not_sent": [
        "prctl.pdeathsig-told",
        "prctl.pdeathsig-at-the-parents-end",
        "prctl.pdeathsig-parent-is-the-thread",
    ],
    "pdeathsig_comes_at_once": ["prctl.pdeathsig-at-the-parents-end"],
    "pdeathsig_is_inherited": ["prctl.pdeathsig-cleared-for-children"],
    "pdeathsig_is_told_one_off": ["prctl.pdeathsig-told"],
    "fork_passes_on_too_much": [
        "alarm.fork-none",
        "fork.dnotify-dropped",
        "fork.mlock-dropped",
        "fork.pdeathsig-cleared",
        "sigpending.fork-empty",
        "timer_create.not-inherited",
    ],
    "fork_copies_every_thread": ["fork.single-thread"],
    "fork_makes_a_group": ["fork.group-and-session-inherited"],
    "fork_of_a_leader_makes_a_session": ["setsid.exec-and-fork-keep-it"],
    "fork_enters_a_new_namespace": ["unshare.children-inherit"],
    "fork_opens_files_anew": ["fork.offset-flags-shared"],
    "fork_begins_with_defaults": [
        "sigaltstack.fork-copies",
        "sigmask.fork-inherits",
        "signal.fork-dispositions-copied",
    ],
    "fork_closes_pipes": ["fork.descriptors-are-copied"],
    "getppid_is_init": ["exec.process-kept", "fork.child-has-a-pid-of-its-own"],
    "pdeathsig_is_sigkill": ["exec.pdeathsig-kept"],
    "subreaper_adopts_nobody": ["exit.children-reparented-subreaper"],
    "exit_status_is_cut": ["exit.status-masked"],
    "exit_writes_buffers": ["exit.no-stdio-flush"],
    "exit_of_a_thread_tells_nothing": ["exit.exit_group-all-threads"],
    "strict_mode_is_no_place_to_live": ["shm.sharing-needs-no-system-call"],
}
