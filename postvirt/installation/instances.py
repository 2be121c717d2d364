"""The Postfix instances that run the program in one daemon_directory.

Instances have their own configuration and queue, but mostly the same programs: what is
put in the place of virtual(8) delivers the mail of all of them. The main.cf of the
default configuration directory names the others.

Parity: postmulti(1), multi_instance_directories.
Raises: nothing; an instance whose main.cf cannot be read runs nothing.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from postvirt.config.compiled_in import compiled_in
from postvirt.config.lists import words
from postvirt.config.load import check
from postvirt.config.parameters import DEFAULT_DIRECTORY, Settings
from postvirt.errors import ConfigError


class Instance(NamedTuple):
    """A Postfix: where its configuration and its commands are."""

    config_directory: str
    command_directory: str


def instances_with(settings: Settings) -> list[Instance]:
    """All with this daemon_directory, own first."""
    place = os.path.realpath(settings.daemon_directory)
    commands = settings.command_directory
    default = compiled_in(commands).get("config_directory", DEFAULT_DIRECTORY)
    own = settings.config_directory
    found = {os.path.realpath(own): Instance(own, commands)}
    listed = words(_text(default, "multi_instance_directories"))
    for directory in (default, *listed, *words(settings.multi_instance_directories)):
        daemons = _text(directory, "daemon_directory")
        if daemons and os.path.realpath(daemons) == place:
            commands = _text(directory, "command_directory")
            instance = Instance(directory, commands)
            found.setdefault(os.path.realpath(directory), instance)
    return list(found.values())


def _text(directory: str, parameter: str) -> str:
    """A parameter of an instance, whatever else is wrong; "" if it is not known."""
    checked = check(directory, process_name="virtual", service_name="virtual")
    try:
        return checked.texts(parameter) or ""
    except ConfigError:
        return ""
