"""Whether master.cf starts the delivery agent correctly.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.config.daemon_options import parse_options
from postvirt.config.master_cf import Service
from postvirt.config.parameter_names import builtin_defaults
from postvirt.errors import ConfigError
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import postconf
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.jail import is_jailed
from postvirt.inspection.services.program_file import is_launcher, program_path
from postvirt.inspection.subject import Subject
from postvirt.model.text import counted


def check_privileged(subject: Subject) -> Iterator[Problem]:
    """virtual(8) refuses to run without root's rights."""
    entry = subject.process.entry
    if entry is None or entry.unprivileged is False:
        return
    yield subject.entry_problem(
        "PV501",
        f"service {entry.name} requires privileged operation",
        remedy="set the fourth column (unpriv) to n",
        commands=_field(subject, entry, "unprivileged", "n"),
    )


def check_chroot(subject: Subject) -> Iterator[Problem]:
    """Mailboxes and tables lie outside of the queue directory."""
    entry, settings = subject.process.entry, subject.settings
    if entry is None or not is_jailed(settings, entry):
        return
    base = f"{settings.queue_directory}{settings.virtual_mailbox_base}"
    is_there = os.path.isdir(base)
    default = "" if entry.chroot else " by the default of compatibility_level 0"
    yield subject.entry_problem(
        "PV502",
        f"service {entry.name} runs in a chroot jail{default}: it looks for the"
        f" mailboxes below {base}" + ("" if is_there else ", which does not exist"),
        severity="warning" if is_there else "error",
        remedy="set the fifth column (chroot) to n, then reload Postfix",
        commands=_field(subject, entry, "chroot", "n"),
    )


def check_arguments(subject: Subject) -> Iterator[Problem]:
    """The command line, as the delivery agent reads it when master(8) starts it."""
    entry = subject.process.entry
    if entry is None:
        return
    argv = (entry.command, "-n", entry.name, "-t", entry.type, *entry.arguments)
    try:
        options = parse_options(argv, {})
    except ConfigError as error:
        complaint = error.text
    else:
        # PV015 reports a comment at the end.
        if not options.arguments or options.arguments[0].startswith("#"):
            return
        complaint = f"unexpected command-line argument: {options.arguments[0]}"
    yield subject.entry_problem(
        "PV503",
        f"service {entry.name} does not start: {complaint}",
        remedy="virtual(8) accepts only the options of every Postfix daemon, such as"
        " -o name=value and -v, and only on a service of type unix",
    )


def check_process_limit(subject: Subject) -> Iterator[Problem]:
    """There must be enough processes for all deliveries that the queue manager runs.

    A process of virtual(8) serves one client, a process of postvirt up to
    postvirt_client_limit.
    """
    entry, settings = subject.process.entry, subject.settings
    if entry is None:
        return
    limit = entry.process_limit
    if limit is None:
        set_for_all = subject.text_of("default_process_limit")
        limit = _number(set_for_all or builtin_defaults()["default_process_limit"])
    name = f"{entry.name}_destination_concurrency_limit"
    wanted = _number(subject.text_of(name))
    if wanted is None:
        wanted = settings.default_destination_concurrency_limit
    clients = 1
    if is_launcher(program_path(settings.daemon_directory, entry.command)):
        clients = settings.postvirt_client_limit
    # 0 is no limit.
    if not limit or not wanted or limit * clients >= wanted:
        return
    yield subject.entry_problem(
        "PV504",
        f"service {entry.name} is limited to {counted(limit, 'process')} with"
        f" {counted(clients, 'client')} each, but {name} is {wanted}",
        severity="info",
        remedy="raise the limit in the seventh column (maxproc)",
        commands=_field(subject, entry, "process_limit", "-")
        if entry.process_limit is not None
        else (),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _field(subject: Subject, entry: Service, field: str, value: str) -> Commands:
    """The command that writes a field of an entry."""
    return postconf(
        subject.settings,
        "-F",
        f"{entry.name}/{entry.type}/{field}={value}",
    )
