"""The `postvirt` command: one subcommand per file."""
