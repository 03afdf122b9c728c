"""The plugin with tools that patch the system, and in test suites of other projects (tox -e harmless)."""
