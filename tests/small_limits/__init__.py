"""The suite where limits are small: what a documented limit keeps from being tried is untested, and deviates from nothing."""
