"""The shell commands that mend a problem, ready to be copied.

Raises: nothing.
"""

from __future__ import annotations

import os
import shlex

from postvirt.config.parameters import Settings


def postconf(directory: str, *arguments: str) -> str:
    """The command that has postconf work on the configuration in a directory."""
    return shlex.join(("postconf", "-c", os.path.abspath(directory), *arguments))


def assign(settings: Settings, name: str, value: str) -> str:
    """Give a parameter of main.cf another value."""
    return postconf(settings.config_directory, "-e", f"{name} = {value}")


def postmap(settings: Settings, table: str) -> str:
    """Make the index of a table."""
    directory = os.path.abspath(settings.config_directory)
    return shlex.join(("postmap", "-c", directory, table))
