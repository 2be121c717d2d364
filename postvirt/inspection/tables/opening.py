"""Whether the tables can be opened, as the daemon opens them.

Whatever a table complains of when it is opened is a problem; `table_problems` says
which one, and what to do about it.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.file_access import unreadable
from postvirt.inspection.tables.table_problems import problem_of
from postvirt.inspection.tables.table_refs import (
    OWNER_MAPS,
    QUOTA_MAPS,
    STATUS_FILTER,
    listed_tables,
)
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.table import TableOptions

# What happens if there is no table to search.
_MEANING = {
    "virtual_mailbox_maps": "every recipient is unknown, and all mail bounces",
    "virtual_uid_maps": "no mailbox has an owner, and all mail is deferred",
    "virtual_gid_maps": "no mailbox has a group, and all mail is deferred",
}


def check_tables(subject: Subject) -> Iterator[Problem]:
    """Open every table of the delivery agent."""
    for parameter in OWNER_MAPS:
        if not getattr(subject.settings, parameter).strip():
            settings = subject.settings
            table = (
                f"{settings.default_database_type}:{settings.config_directory}/table"
            )
            remedy = f"set {parameter}, for example to {table}"
            if parameter != "virtual_mailbox_maps":
                remedy = f"set {parameter}, for example to static:5000"
            trouble = f"{parameter} is empty: {_MEANING[parameter]}"
            yield subject.problem("PV103", trouble, parameter, remedy=remedy)
    # What is wrong with a table inside another one is shown for the inner table only.
    seen: set[tuple[str, str, Complaint]] = set()
    for listed in listed_tables(subject):
        files = unreadable(subject, listed)
        yield from files
        if files:
            continue  # nothing else can be known about it
        options = options_for(subject.settings, listed.parameter)
        for complaint in _complaints(subject, listed.spec, options):
            what = (listed.parameter, listed.item, complaint)
            if what not in seen:
                seen.add(what)
                yield problem_of(subject, listed, complaint)


def options_for(settings: Settings, parameter: str) -> TableOptions:
    """How the delivery agent opens the tables of a parameter."""
    if parameter == STATUS_FILTER:
        return TableOptions(utf8=settings.smtputf8_enable, utf8_request=False)
    if parameter in QUOTA_MAPS:
        return TableOptions(utf8=settings.smtputf8_enable)
    return TableOptions(utf8=settings.smtputf8_enable, paranoid=True)


def _complaints(subject: Subject, spec: str, options: TableOptions) -> list[Complaint]:
    found: list[Complaint] = []
    tables = subject.tables.telling(found.append)
    try:
        tables.open(spec, options).close()
    except ConfigError as error:
        found.append(Complaint(Kind.UNUSABLE, error.text, "error"))
    return found
