"""postvirt demo: the whole path on a private, throw-away instance."""

from __future__ import annotations

import argparse

SUMMARY = "deliver some mail on a throw-away instance and show what happens"
DESCRIPTION = """\
Make a private instance below a temporary directory (configuration, tables, queue, mail
folder), deliver a handful of messages to it, and show what arrived where, the log, and
what bounced. The queue manager and the other services are stand-ins, so that neither
Postfix nor root is needed.

With --postfix a private genuine Postfix does all that instead; it has its own
configuration and queue, and needs root. No mail leaves the machine either way.
Exit status: 0 everything arrived as it should; 1 it did not, or there is no instance.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "--postfix", action="store_true", help="use a private genuine Postfix"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the instance and say where it is"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration; 0 when everything arrived as it should."""
    from postvirt.standin.demonstration import demonstrate

    return demonstrate(with_postfix=arguments.postfix, keep=arguments.keep)
