"""The plugin beside tools that patch the system, and in the test suites of other projects (tox -e harmless, harmless-projects)."""
