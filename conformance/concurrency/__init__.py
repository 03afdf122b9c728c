"""Concurrent checks: workers operate on one object at once, and their recorded history must fit its specification."""
