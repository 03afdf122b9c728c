"""The suite under small limits: a clause that a documented limit prevents is untested, and no clause deviates."""
