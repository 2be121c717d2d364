"""postvirt demo: the whole path of a message on a private, temporary instance."""

from __future__ import annotations

import argparse

SUMMARY = "deliver some mail on a temporary instance and show what happens"
DESCRIPTION = """\
Create a private instance in a temporary directory (configuration, tables, queue,
mailboxes), deliver a handful of messages to it, and show where they arrived, the log,
and what bounced. Stand-ins replace the queue manager and the other services, so neither
Postfix nor root is needed.

With --postfix, a private copy of the genuine Postfix is used instead, with its own
configuration and queue; this requires root. No mail leaves the machine either way.
Exit status: 0 if all messages arrived as expected; 1 if not, or if the instance could
not be created.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "--postfix",
        action="store_true",
        help="use a private copy of the genuine Postfix",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the instance, and print its location"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration; 0 when everything arrived as it should."""
    from postvirt.standin.demonstration import demonstrate

    return demonstrate(with_postfix=arguments.postfix, keep=arguments.keep)
