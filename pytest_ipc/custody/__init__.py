"""Who owns what, and in which order it goes."""

# The process id of the pytest-xdist controller whose worker this process is; set by the plugin. The environment does not tell:
# whatever a test starts inherits it.
controller = 0
