"""For the project's own tests: pytest's fixture to test plugins with."""

pytest_plugins = ["pytester"]
