"""postvirt config: parameters and their values, as postconf(1) prints them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postvirt.config.listing import Sources
    from postvirt.config.master_cf import MasterCf
    from postvirt.errors import ConfigError

SUMMARY = "show configuration parameters, as postconf(1) does"
DESCRIPTION = """\
Print the values of all main.cf parameters, or of those named, for example

    postvirt config -n                          what main.cf sets
    postvirt config -x virtual_mailbox_maps     one value, as the daemon uses it

Output, warnings and exit status are those of postconf with the same options. Names and
defaults are those of the installed Postfix; without one, those of Postfix 3.7. Unlike
postconf, this command never changes main.cf. Parameters of newer Postfix versions that
postvirt supports are shown if they are set or named.
"""

CANNOT_RUN = 1  # as postconf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    add = parser.add_argument
    add(
        "-d",
        dest="defaults",
        action="store_true",
        help="show default values instead of those in main.cf",
    )
    add(
        "-n",
        dest="only_set",
        action="store_true",
        help="show only parameters that main.cf sets",
    )
    add("-x", dest="expanded", action="store_true", help="expand $name in values")
    add("-h", dest="no_names", action="store_true", help="show values without names")
    add(
        "names", metavar="NAME", nargs="*", help="the parameters to show (default: all)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print; the exit status."""
    from postvirt.config.excerpt import render
    from postvirt.config.listing import Listing, lines
    from postvirt.errors import ConfigError
    from postvirt.model.text import wire
    from postvirt.system import log

    sink = log.to_stderr("postvirt")
    log.start(sink)
    try:
        _check_options(arguments)
        listing = Listing(_sources(arguments))
        shown = lines(
            listing,
            arguments.names,
            only_set=arguments.only_set,
            expanded=arguments.expanded,
            with_names=not arguments.no_names,
        )
    except ConfigError as error:
        for warning in error.warnings:
            log.warning(warning)
        sink("fatal", log.printable(error.text, utf8=False))
        # Where the mistake is, which postconf does not show.
        for line in render(error).splitlines()[1:]:
            print(line, file=sys.stderr)
        return CANNOT_RUN
    sys.stdout.buffer.write(b"".join([wire(line) + b"\n" for line in shown]))
    sys.stdout.buffer.flush()
    if not arguments.defaults:
        listing.warn_unused()
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    from postvirt.errors import ConfigError

    if arguments.defaults:
        for option, is_given in (
            ("-n", arguments.only_set),
            ("-o", arguments.overrides),
        ):
            if is_given:
                raise ConfigError(f"specify one of -d {option}")
    if arguments.names and "=" in arguments.names[0]:
        raise ConfigError("postvirt does not change main.cf; use postconf instead")


def _sources(arguments: argparse.Namespace) -> Sources:
    from postvirt.config.config_files import directory_of, read_table_file
    from postvirt.config.listing import Sources
    from postvirt.system import log

    main = None if arguments.defaults else _main(arguments)
    return Sources(
        directory=directory_of(arguments.config_directory),
        main=main,
        master_cf=_master_cf(arguments.config_directory),
        read_table=read_table_file,
        warn=log.warning,
    )


def _main(arguments: argparse.Namespace) -> dict[str, str]:
    """What main.cf and -o set."""
    from postvirt.config.config_files import directory_of, read_main_cf
    from postvirt.config.main_cf import split_nameval
    from postvirt.errors import ConfigError

    directory = directory_of(arguments.config_directory)
    settings = {}
    if arguments.config_directory or "MAIL_CONFIG" in os.environ:
        settings["config_directory"] = directory
    main_cf = read_main_cf(directory, settings)
    _report(main_cf.problems)
    settings.update({one.name: one.value for one in main_cf.assignments})
    for option in arguments.overrides:
        split = split_nameval(option)
        if isinstance(split, str):
            raise ConfigError(f"invalid parameter override: {option}: {split}")
        settings[split[0]] = split[1]
    return settings


def _master_cf(config_directory: str | None) -> MasterCf | None:
    """The services, None when there is no master.cf."""
    from postvirt.config.master_cf import read_master_cf
    from postvirt.errors import ConfigError
    from postvirt.system import log

    try:
        master_cf = read_master_cf(config_directory)
    except ConfigError as error:
        log.warning(error.text)
        return None
    _report(master_cf.problems)
    return master_cf


def _report(problems: Sequence[ConfigError]) -> None:
    """Log the warnings among the problems, up to the first error.

    Raises: ConfigError for that one.
    """
    from postvirt.system import log

    for problem in problems:
        if problem.severity == "error":
            raise problem
        log.warning(problem.text)
