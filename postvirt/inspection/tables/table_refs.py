"""The tables that parameters list, including those inside other tables.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postvirt.config.lists import split
from postvirt.config.parameters import Settings
from postvirt.config.quota_settings import quotas_are_on
from postvirt.errors import TableError
from postvirt.inspection.command import Commands
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject
from postvirt.tables.databases.cf_file import CfParameters

OWNER_MAPS = ("virtual_mailbox_maps", "virtual_uid_maps", "virtual_gid_maps")
STATUS_FILTER = "virtual_delivery_status_filter"
# Opened while quotas are on.
QUOTA_MAPS = ("virtual_mailbox_limit_maps", "virtual_maildir_limit_message_maps")

# Types whose table is an index file, made by postmap(1) from a text.
INDEXES = ("hash", "btree", "lmdb", "cdb")
BERKELEY = ("hash", "btree")
# Types that are configured by a file, which may contain a password.
DATABASES = ("ldap", "mongodb", "mysql", "pgsql", "sqlite")
PATTERNS = ("regexp", "pcre")


@dataclass(frozen=True, slots=True)
class Listed:
    """A table, and where it is named.

    item    of the parameter's value; the table itself, or another one that uses it
    spec    "type:name" as it is written, "proxy:" included
    """

    parameter: str
    item: str
    spec: str

    @property
    def table(self) -> str:
        """The table that is opened: without "proxy:"."""
        spec = self.spec
        while spec.startswith("proxy:"):
            spec = spec.removeprefix("proxy:")
        return spec

    @property
    def type(self) -> str:
        """The part before the colon."""
        return self.table.partition(":")[0]

    @property
    def name(self) -> str:
        """The part after it."""
        return self.table.partition(":")[2]

    def problem(
        self,
        subject: Subject,
        code: str,
        text: str,
        *,
        severity: Severity = "error",
        remedy: str = "",
        commands: Commands = (),
    ) -> Problem:
        """A problem that is shown where the table is named."""
        return subject.problem(
            code,
            text,
            self.parameter,
            item=self.item,
            offset=max(0, self.item.find(self.spec)),
            severity=severity,
            remedy=remedy,
            commands=commands,
        )


def opened_maps(settings: Settings) -> tuple[str, ...]:
    """The parameters whose tables the delivery agent opens."""
    quota_maps = QUOTA_MAPS if quotas_are_on(settings) else ()
    return (*OWNER_MAPS, STATUS_FILTER, *quota_maps)


def listed_tables(
    subject: Subject, parameters: Sequence[str] | None = None
) -> Iterator[Listed]:
    """All tables of these parameters, a table before the one that uses it.

    parameters   by default all whose tables the delivery agent opens
    """
    for parameter in parameters or opened_maps(subject.settings):
        for item in split(getattr(subject.settings, parameter)):
            inside = [one for one in subject.tables.prepare([item])[1:] if one in item]
            for spec in (*reversed(inside), item):
                yield Listed(parameter, item, spec)


def different_tables(
    subject: Subject, parameters: Sequence[str] | None = None
) -> list[Listed]:
    """The same, each table once, however often it is listed."""
    found: dict[str, Listed] = {}
    for listed in listed_tables(subject, parameters):
        found.setdefault(listed.table, listed)
    return list(found.values())


def files_of(subject: Subject, listed: Listed) -> tuple[str, ...]:
    """The files that a table is read from."""
    return tuple([one.path for one in subject.tables.files(listed.spec)])


def parameter_of(subject: Subject, listed: Listed, name: str) -> str:
    """A parameter of a database; "" if it is not set, or cannot be read."""
    try:
        parameters = CfParameters(listed.name, subject.texts)
    except TableError:
        return ""
    try:
        return parameters.text(name)
    except TableError:
        return ""
    finally:
        parameters.close()
