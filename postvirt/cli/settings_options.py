"""The options that say which configuration a subcommand uses."""

from __future__ import annotations

import argparse

from postvirt.config.load import Loaded, LoadError, check, load, parse_override
from postvirt.system import log

# The name of the daemon: $process_name and $service_name in main.cf.
DAEMON = "virtual"


def add_configuration_options(parser: argparse.ArgumentParser) -> None:
    """Add -c and -o, as Postfix's own commands have them."""
    add_directory_option(parser)
    add_overrides_option(parser)


def add_directory_option(parser: argparse.ArgumentParser) -> None:
    """Add -c."""
    parser.add_argument(
        "-c",
        dest="config_directory",
        metavar="DIR",
        help="directory that contains main.cf"
        " (default: $MAIL_CONFIG, or Postfix's own, mostly /etc/postfix)",
    )


def add_overrides_option(parser: argparse.ArgumentParser) -> None:
    """Add -o."""
    parser.add_argument(
        "-o",
        dest="overrides",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="override a main.cf parameter; may be repeated",
    )


def overrides_of(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """The -o options as (name, value).

    Raises: ConfigError.
    """
    return [parse_override(option) for option in arguments.overrides]


def load_configuration(arguments: argparse.Namespace) -> Loaded:
    """Read the configuration that the options select; log to standard error.

    Raises: ConfigError.
    """
    loaded = load(
        arguments.config_directory,
        overrides_of(arguments),
        process_name=DAEMON,
        service_name=DAEMON,
    )
    return _logging(loaded)


def load_without_delivery(arguments: argparse.Namespace) -> Loaded:
    """The same, for a command that does not deliver.

    As for postmap(1), only what every Postfix program reads has to be right.
    Raises: ConfigError.
    """
    try:
        return load_configuration(arguments)
    except LoadError as error:
        if error.log_settings is None:
            raise
    checked = check(
        arguments.config_directory,
        overrides_of(arguments),
        process_name=DAEMON,
        service_name=DAEMON,
    )
    assert checked.settings is not None
    warnings = [one.text for one in checked.problems if one.severity == "warning"]
    return _logging(Loaded(checked.settings, tuple(warnings), checked.texts))


def _logging(loaded: Loaded) -> Loaded:
    utf8 = loaded.settings.smtputf8_enable
    log.start(log.to_stderr("postvirt"), utf8=utf8)
    for warning in loaded.warnings:
        log.warning(warning)
    return loaded
