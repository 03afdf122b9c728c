"""The fixtures beside other plugins, options and settings of pytest and Python."""
