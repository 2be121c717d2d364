"""The Postfix instances that run the program in one daemon_directory.

Instances have their own configuration and queue, but mostly the same programs: what is
put in the place of virtual(8) delivers the mail of all of them. The main.cf of the
default configuration directory names the others.

Parity: postmulti(1), multi_instance_directories.
Raises: nothing; an instance whose main.cf cannot be read runs nothing.
"""

from __future__ import annotations

import os

from postvirt.config.compiled_in import compiled_in
from postvirt.config.lists import words
from postvirt.config.load import check
from postvirt.config.parameters import DEFAULT_DIRECTORY, Settings
from postvirt.errors import ConfigError


def instances_with(settings: Settings) -> list[str]:
    """The configuration directories of all with this daemon_directory, own first."""
    place = os.path.realpath(settings.daemon_directory)
    compiled = compiled_in(settings.command_directory)
    default = compiled.get("config_directory", DEFAULT_DIRECTORY)
    own = settings.config_directory
    found = {os.path.realpath(own): own}
    listed = words(_text(default, "multi_instance_directories"))
    for directory in (default, *listed, *words(settings.multi_instance_directories)):
        daemons = _text(directory, "daemon_directory")
        if daemons and os.path.realpath(daemons) == place:
            found.setdefault(os.path.realpath(directory), directory)
    return list(found.values())


def _text(directory: str, parameter: str) -> str:
    """A parameter of an instance, whatever else is wrong; "" if it is not known."""
    checked = check(directory, process_name="virtual", service_name="virtual")
    try:
        return checked.texts(parameter) or ""
    except ConfigError:
        return ""
