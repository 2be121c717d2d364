"""Parameters of the VDA quota patch that have no effect.

    PV003  its filters, and names that guides have but no version of the patch
    PV011  nothing turns quotas on, or no mailbox has a limit
    PV019  virtual(8), which delivers now, ignores these limits
    PV021  the name of the trash folder is not that of a folder's directory

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from postvirt.config.quota_settings import quotas_are_on
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import assign, postconf
from postvirt.inspection.files.unused_names import installed_names_of
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.inspection.subject import Subject
from postvirt.inspection.vda_names import FILTERS, MEANT
from postvirt.installation.programs import Program, program_at

# Each of them turns quotas on, but for its default.
_SWITCHES = (
    "virtual_mailbox_limit_maps",
    "virtual_maildir_extended",
    "virtual_create_maildirsize",
    "virtual_mailbox_limit_inbox",
    "virtual_overquota_bounce",
)
# What has a meaning only while quotas are on.
_DETAILS = (
    "virtual_mailbox_limit_override",
    "virtual_maildir_limit_message",
    "virtual_maildir_limit_message_maps",
    "virtual_trash_count",
    "postvirt_maildir_virtual_size",
    "postvirt_quota_count_deleted",
    "postvirt_quota_notice_recipient",
    "postvirt_quota_policy_address",
    "postvirt_quota_warning_percent",
    "postvirt_quota_warning_template",
)


def check_vda_names(files: Files) -> Iterator[Problem]:
    """Names that no program reads."""
    filters = [one for one in files.main_cf.assignments if one.name in FILTERS]
    if filters:
        names = tuple(dict.fromkeys(one.name for one in filters))
        yield files.problem(
            "PV003",
            f"{' and '.join(names)}: the filters of the VDA patch are not executed",
            filters[0],
            remedy="let the IMAP server filter (Sieve), or a milter",
            commands=postconf(files, "-X", *names),
        )
    for assignment in files.main_cf.assignments:
        name, meant = assignment.name, MEANT.get(assignment.name)
        if meant is None:
            continue
        commands = postconf(files, "-X", name)
        if meant not in files.assigned:
            commands += postconf(files, "-e", f"{meant} = {assignment.value}")
        yield files.problem(
            "PV003",
            f"unused parameter: {name}={assignment.value}; guides have this name, but"
            " no version of the VDA patch",
            assignment,
            remedy=f"did you mean {meant}?",
            commands=commands,
        )


def check_quota_parameters(subject: Subject) -> Iterator[Problem]:
    """Whether the parameters about quotas have an effect, and whether that is new."""
    settings = subject.settings
    if not quotas_are_on(settings):
        yield from _off(subject)
    elif not (
        settings.virtual_mailbox_limit_maps
        or settings.virtual_mailbox_limit
        or settings.postvirt_mailbox_message_limit
    ):
        yield subject.problem(
            "PV011",
            "no mailbox has a limit: virtual_mailbox_limit = 0, and there is no"
            " virtual_mailbox_limit_maps",
            "virtual_mailbox_limit",
            severity="info",
            remedy="none needed if that is intended",
        )
    else:
        yield from _new(subject)
        yield from _trash(subject)


def _off(subject: Subject) -> Iterator[Problem]:
    main_cf = subject.places.main_cf
    found = [
        one
        for one in _DETAILS
        if main_cf is not None and main_cf.last_assignment(one) is not None
    ]
    if not found:
        return
    has = "has" if len(found) == 1 else "have"
    yield subject.problem(
        "PV011",
        f"{', '.join(found)} {has} no effect, because nothing turns quotas on",
        found[0],
        severity="warning",
        remedy="name a table in virtual_mailbox_limit_maps, or set"
        f" virtual_maildir_extended = yes; or remove {', '.join(found)}",
        commands=assign(subject.settings, "virtual_maildir_extended", "yes"),
    )


def _new(subject: Subject) -> Iterator[Problem]:
    """Before `postvirt install`: what changes for these mailboxes."""
    entry, settings = subject.process.entry, subject.settings
    if entry is None:
        return
    path = Path(settings.daemon_directory, entry.command)
    if program_at(path) is not Program.GENUINE:
        return
    known = installed_names_of(settings.command_directory, settings.config_directory)
    if "virtual_mailbox_limit_maps" in known:
        return  # it has the patch
    switch = next(one for one in (*_SWITCHES, "") if not one or getattr(settings, one))
    yield subject.problem(
        "PV019",
        f"{path} ignores {switch or 'postvirt_mailbox_message_limit'}: with postvirt"
        " mailboxes have limits, and mail for those that are above is refused",
        switch or "postvirt_mailbox_message_limit",
        severity="warning",
        remedy="`postvirt quota report --above 95` shows which are full, or almost; if"
        " nothing should change, remove the parameters about quotas",
        commands=_without_quotas(subject),
    )


def _trash(subject: Subject) -> Iterator[Problem]:
    settings = subject.settings
    name = settings.virtual_trash_name
    if settings.virtual_trash_count or (name.startswith(".") and "/" not in name):
        return
    meant = name.strip("\"'/ ").lstrip(".")
    yield subject.problem(
        "PV021",
        f"virtual_trash_name = {name} is not the directory of a folder",
        "virtual_trash_name",
        severity="warning",
        remedy="write its name in the maildir, which begins with a dot",
        commands=assign(settings, "virtual_trash_name", f".{meant or 'Trash'}"),
    )


def _without_quotas(subject: Subject) -> Commands:
    main_cf = subject.places.main_cf
    found = [
        one
        for one in (*_SWITCHES, *_DETAILS, "postvirt_mailbox_message_limit")
        if main_cf is not None and main_cf.last_assignment(one) is not None
    ]
    return postconf(subject.settings, "-X", *found) if found else ()
