"""What a service is started with, and the options that follow from it.

Parity: the -o options of an entry in master.cf, as master(8) passes them on.
Raises: ConfigError.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from postvirt.config.daemon_options import Options, parse_options
from postvirt.config.load import load
from postvirt.config.master_cf import read_master_cf
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError

PROCESS_NAME = "postvirt"


class Wanted(NamedTuple):
    """What to start, according to the command line; main.cf is that of $MAIL_CONFIG.

    like         the entry of master.cf whose options apply; "" is `virtual`, if any
    overrides    more -o options
    foreground   another program supervises it, and starts it again
    """

    name: str
    like: str = ""
    overrides: Sequence[tuple[str, str]] = ()
    foreground: bool = False

    def options(self) -> Options:
        """The options according to the present master.cf.

        Raises: ConfigError, also when master(8) listens on this service's socket.
        """
        try:
            master_cf = read_master_cf()
        except ConfigError:
            if self.like:
                raise
            return self._options(())
        for entry in master_cf.services:
            is_private = entry.type != "inet" and entry.private is not False
            if is_private and entry.name == self.name:
                raise ConfigError(
                    f"service {self.name} is in master.cf: master(8) listens on"
                    f" private/{self.name}",
                    origin=entry.origin,
                    remedy="remove this entry, or choose another --name",
                )
        like = self.like or "virtual"
        agent = master_cf.entry(like)
        if agent is not None and agent.is_delivery_agent:
            return self._options(agent.arguments)
        if self.like:
            raise ConfigError(
                f"{master_cf.path}: there is no service {like} that runs virtual"
            )
        return self._options(())

    def _options(self, arguments: Sequence[str]) -> Options:
        argv = (PROCESS_NAME, "-n", self.name, "-t", "unix", *arguments)
        options = parse_options(argv, os.environ)
        return options._replace(overrides=(*options.overrides, *self.overrides))


def settings_of(options: Options) -> Settings:
    """The settings according to main.cf and these options."""
    return load(
        overrides=options.overrides,
        process_name=options.process_name,
        service_name=options.service_name,
    ).settings
