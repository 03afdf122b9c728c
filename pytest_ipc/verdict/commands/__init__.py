"""The subcommands that run the suite or read its reports, one module each."""
