"""The shell commands that fix a problem, ready to be copied.

Raises: nothing.
"""

from __future__ import annotations

import os
import shlex

from postvirt.config.parameters import Settings


def postconf(directory: str, *arguments: str) -> str:
    """Run postconf on the configuration in a directory."""
    return shlex.join(("postconf", "-c", os.path.abspath(directory), *arguments))


def assign(settings: Settings, name: str, value: str) -> str:
    """Set a parameter in main.cf."""
    return postconf(settings.config_directory, "-e", f"{name} = {value}")


def postmap(settings: Settings, table: str) -> str:
    """Build the index of a table."""
    directory = os.path.abspath(settings.config_directory)
    return shlex.join(("postmap", "-c", directory, table))
