"""The machine, one hazard per file."""
