"""Whether the tables can be opened, as the daemon opens them.

Whatever opening a table would log is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from postvirt.config.lists import split
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.system import log
from postvirt.tables import registry
from postvirt.tables.table import TableOptions

# The three searches for a mailbox, and what it means when there is nothing to search.
_OWNER_MAPS = {
    "virtual_mailbox_maps": "every recipient is unknown, and all mail bounces",
    "virtual_uid_maps": "no mailbox has an owner, and all mail is deferred",
    "virtual_gid_maps": "no mailbox has a group, and all mail is deferred",
}
_STATUS_FILTER = "virtual_delivery_status_filter"


def check_tables(subject: Subject) -> Iterator[Problem]:
    """Open every table of the delivery agent."""
    for parameter, meaning in _OWNER_MAPS.items():
        yield from _owner_maps(subject, parameter, meaning)
    utf8 = subject.settings.smtputf8_enable
    options = TableOptions(utf8=utf8, utf8_request=False)
    yield from _tables(subject, _STATUS_FILTER, options)


def _owner_maps(subject: Subject, parameter: str, meaning: str) -> Iterator[Problem]:
    settings = subject.settings
    if not getattr(settings, parameter).strip():
        remedy = f"set {parameter}, for example to hash:/etc/postfix/table"
        if parameter != "virtual_mailbox_maps":
            remedy = f"set {parameter}, for example to static:5000"
        trouble = f"{parameter} is empty: {meaning}"
        yield subject.problem("PV103", trouble, parameter, remedy=remedy)
        return
    options = TableOptions(utf8=settings.smtputf8_enable, paranoid=True)
    yield from _tables(subject, parameter, options)


def _tables(
    subject: Subject, parameter: str, options: TableOptions
) -> Iterator[Problem]:
    """Open each table of a list; whatever that would log is a problem.

    A problem with a table inside of another one is shown there, and only there.
    """
    for name in split(getattr(subject.settings, parameter)):
        inside = [one for one in registry.prepare([name])[1:] if one in name]
        seen: set[str] = set()
        for table in (*reversed(inside), name):
            for severity, line in _complaints(table, subject.settings, options):
                if line in seen:
                    continue
                seen.add(line)
                is_warning = severity == "warning"
                yield subject.problem(
                    "PV102" if is_warning else "PV101",
                    f"{table}: {line}" if table not in line else line,
                    parameter,
                    item=name,
                    offset=name.find(table),
                    remedy=_remedy(line, table.removeprefix("proxy:")),
                    severity="warning" if is_warning else "error",
                )


def _complaints(
    name: str, settings: Settings, options: TableOptions
) -> list[tuple[str, str]]:
    """What opening a table logs, without what is normal: severities and texts."""
    lines: list[tuple[str, str]] = []
    log.start(
        lambda severity, line: lines.append(
            (severity, line.decode("utf-8", "surrogateescape"))
        ),
        utf8=settings.smtputf8_enable,
    )
    try:
        registry.open_table(name, options).close()
    except ConfigError as error:
        lines.append(("error", error.text))
    finally:
        log.start(log.to_stderr("postvirt"))
    return [(severity, line) for severity, line in lines if severity]


def _remedy(line: str, name: str) -> str:
    """What to do about a table that cannot be used."""
    type_, _, path = name.partition(":")
    missing = re.search(r"open database .*\.(db|cdb|lmdb): No such file", line)
    if missing and type_ in ("hash", "btree", "cdb", "lmdb"):
        # A hash: table may be opened as another type, which Postfix before 3.11 does
        # not do: name the type of the file.
        made = type_ if missing[1] == "db" else missing[1]
        return f"make the index with: postmap {made}:{path}"
    if "older than source" in line:
        return f"make the index again with: postmap {name}"
    if "Permission denied" in line:
        return f"let mail_owner read it, for example with: chmod a+r {path}*"
    return ""
