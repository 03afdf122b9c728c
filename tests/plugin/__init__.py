"""The plugin: its fixtures, markers and reports, and its guard against forked children that return into pytest."""
