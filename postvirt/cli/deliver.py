"""postvirt deliver: deliver one message now, without Postfix.

For a pipe(8) transport of any mail system, for scripts and for tests. The delivery is
the daemon's; only the result is printed instead of reported to Postfix.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import IO

SUMMARY = "deliver a message read from standard input"
DESCRIPTION = """\
Read a message from standard input and deliver it to the recipients, for example

    postvirt deliver -f sender@example.org user@example.com < message

and print one line per recipient: status code, recipient, text. Exit status:

    0   delivered to all recipients
    67  a recipient is unknown (EX_NOUSER)
    69  delivery to a recipient failed permanently for another reason (EX_UNAVAILABLE)
    75  try again later (EX_TEMPFAIL): delivery to a recipient failed temporarily, or
        nothing was done because of a mistake in the configuration or the command line

75 takes precedence over the others. If a call with several recipients is repeated,
those that have received the message receive it again, so have a pipe(8) transport pass
one recipient at a time (NAME_destination_recipient_limit = 1).

When run as root, mail is delivered with the recipient's rights. Other users can deliver
only to mailboxes with their own uid and gid.
"""

EX_OK = 0
EX_NOUSER = 67
EX_UNAVAILABLE = 69
EX_TEMPFAIL = 75
# A command that could not even try must not bounce mail.
CANNOT_RUN = EX_TEMPFAIL

_BLOCK_BYTES = 262_144
_KEEP_IN_MEMORY_BYTES = 4_194_304


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "-f",
        dest="sender",
        metavar="SENDER",
        required=True,
        help='the envelope sender; "" for the null sender',
    )
    parser.add_argument("recipients", metavar="RECIPIENT", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    """Deliver; the exit status."""
    from tempfile import SpooledTemporaryFile

    from postvirt.cli.settings_options import load_configuration
    from postvirt.delivery.settling import settle_as_mail_owner
    from postvirt.delivery.table_setup import prepare
    from postvirt.engine.engine import Engine
    from postvirt.model.outcome import CorruptQueueFile, Delivered
    from postvirt.model.request import Recipient
    from postvirt.server.assembly import Assembly
    from postvirt.system.limits import limit_file_size
    from postvirt.tables.opener import TableOpener

    loaded = load_configuration(arguments)
    settings = loaded.settings
    tables = TableOpener.of(settings, loaded.texts)
    with SpooledTemporaryFile(_KEEP_IN_MEMORY_BYTES) as message:
        _copy(sys.stdin.buffer, message)
        content = _Message(message)
        limit_file_size(settings.virtual_mailbox_limit)
        prepare(settings, tables)
        settle_as_mail_owner(settings)
        assembly = Assembly(settings, tables, "virtual").open()
        postman = assembly.postman
        engine = Engine(settings.ipc_timeout, lookups=assembly.lookups)
        codes = set()
        for argument in arguments.recipients:
            address = os.fsencode(argument)
            recipient = Recipient(
                original_recipient=address, address=address, offset=-1
            )
            outcome = engine.run(
                postman.deliver(os.fsencode(arguments.sender), recipient, content)
            )
            if outcome is None or isinstance(outcome, CorruptQueueFile):
                raise AssertionError("there is no queue file, and nothing stops this")
            dsn = outcome.dsn
            line = f"{dsn.status} {argument}: {dsn.reason}\n"
            sys.stdout.buffer.write(os.fsencode(line))
            if not isinstance(outcome, Delivered):
                codes.add(_exit_status(dsn.status))
    for code in (EX_TEMPFAIL, EX_NOUSER, EX_UNAVAILABLE):
        if code in codes:
            return code
    return EX_OK


def _exit_status(status: str) -> int:
    if status.startswith("4"):
        return EX_TEMPFAIL
    return EX_NOUSER if status == "5.1.1" else EX_UNAVAILABLE


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while block := source.read(_BLOCK_BYTES):
        target.write(block)


class _Message:
    """Message content from a file, for any number of recipients."""

    queue_file_bytes = 0

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        from postvirt.codec.from_lines import quote_from_lines

        return quote_from_lines(self._plain()) if quote_from else self._plain()

    def _plain(self) -> Iterator[bytes]:
        self._file.seek(0)
        last = b"\n"
        while block := self._file.read(_BLOCK_BYTES):
            yield block
            last = block[-1:]
        if last != b"\n":
            yield b"\n"
