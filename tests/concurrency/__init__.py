"""The engine of the concurrent checks: search, recording, timeline, shrinking."""
