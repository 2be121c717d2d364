"""The files of the tables that only other programs read.

Without one of them smtpd(8), cleanup(8) or trivial-rewrite(8) has senders try again
later: no mail reaches the delivery agent. `opening` is about those that this opens.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.config.lists import words
from postvirt.config.parameter_names import builtin_defaults
from postvirt.inspection.command import Commands
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.everywhere import tables_everywhere
from postvirt.inspection.tables.index_remedies import how_to_make, how_to_make_again
from postvirt.inspection.tables.table_refs import (
    INDEXES,
    Listed,
    files_of,
    opened_maps,
)
from postvirt.model.text import wire

# Programs create these tables themselves, or only postalias(1) reads the parameter.
_MADE = ("address_verify_map", "alias_database")
# Mail for virtual mailboxes needs none of these: not having them is a note.
_OF_LOCAL = frozenset(
    {
        "alias_maps",
        "fallback_transport_maps",
        "local_recipient_maps",
        "mailbox_command_maps",
        "mailbox_transport_maps",
    }
)


def check_files_of_tables(subject: Subject) -> Iterator[Problem]:
    """What is missing, and what postmap(1) has to make again."""
    if subject.master_cf is None:
        return  # no other program runs
    read = builtin_defaults().keys() | {
        *words(subject.text_of("smtpd_restriction_classes"))
    }
    is_local = bool(subject.settings.mydestination.strip())
    ours = opened_maps(subject.settings)
    for listed in tables_everywhere(subject):
        name = listed.parameter
        if name not in read or name in ours or name in _MADE or "_cache" in name:
            continue
        if is_local or name not in _OF_LOCAL:
            yield from _of_table(subject, listed)


def _of_table(subject: Subject, listed: Listed) -> Iterator[Problem]:
    for path in files_of(subject, listed):
        try:
            made = os.stat(wire(path)).st_mtime
        except FileNotFoundError:
            yield _missing(subject, listed, path)
            return
        except OSError:
            return
        if listed.type in INDEXES:
            yield from _stale(subject, listed, path, made)


def _missing(subject: Subject, listed: Listed, path: str) -> Problem:
    remedy, commands = f"create {path}", Commands()
    if listed.type in INDEXES:
        remedy, commands = how_to_make(subject.settings, listed, path)
    return listed.problem(
        subject,
        "PV104",
        f"{listed.table}: {path} does not exist",
        severity="info" if listed.parameter in _OF_LOCAL else "error",
        remedy=remedy,
        commands=commands,
    )


def _stale(
    subject: Subject, listed: Listed, index: str, made: float
) -> Iterator[Problem]:
    source = os.path.splitext(index)[0]
    try:
        edited = os.stat(wire(source)).st_mtime
    except OSError:
        return
    if int(edited) > int(made):
        remedy, commands = how_to_make_again(subject.settings, listed, index)
        yield listed.problem(
            subject,
            "PV107",
            f"{listed.table}: {index} is older than {source}",
            severity="warning",
            remedy=remedy,
            commands=commands,
        )
