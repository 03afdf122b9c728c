"""Control groups of version 2: who runs and who is frozen, who is a member, and what is told of it: cgroups(7)."""
