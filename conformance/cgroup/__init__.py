"""Control groups version 2: members, freezing, events and limits: cgroups(7)."""
