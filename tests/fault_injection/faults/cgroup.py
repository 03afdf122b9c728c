"""Faults of control groups, and the clauses that must detect each."""

FAULTS = {
    # A clause that waits for the report would wait for seconds: most get success.
    "cgroup_freeze_does_nothing": ["cgroup.freeze-stops", "cgroup.freeze-value"],
    "cgroup_freeze_is_only_reported": [
        "cgroup.freeze-descendants",
        "cgroup.freeze-stops",
        "cgroup.frozen-by-an-ancestor",
        "cgroup.frozen-can-be-killed",
        "cgroup.frozen-handles-no-signal",
        "cgroup.moved-in-is-frozen",
        "cgroup.moved-out-runs",
    ],
    "cgroup_thaw_does_nothing": ["cgroup.thaw", "cgroup.freeze-value"],
    "cgroup_thaw_thaws_those_above": ["cgroup.frozen-by-an-ancestor"],
    "cgroup_freeze_takes_anything": ["cgroup.freeze-einval"],
    "cgroup_kill_does_nothing": ["cgroup.kill"],
    "cgroup_moves_nobody": [
        "cgroup.fork-inherits",
        "cgroup.proc-pid-cgroup",
        "cgroup.procs-moves",
        "cgroup.procs-moves-threads",
        "cgroup.populated",
    ],
    "cgroup_has_no_limit": ["cgroup.max-depth", "cgroup.max-descendants"],
    "cgroup_is_never_frozen": ["cgroup.freeze-stops", "cgroup.frozen-told"],
    "cgroup_is_always_populated": ["cgroup.populated", "cgroup.populated-told", "cgroup.zombie-is-no-member"],
    "cgroup_counts_nobody_below": ["cgroup.stat-descendants"],
    "rmdir_is_never_busy": ["cgroup.rmdir-ebusy"],
    "rmdir_is_refused_when_frozen": ["cgroup.frozen-can-be-removed"],
}
