"""Look at a configuration as the daemon would, and report everything that is wrong.

It is the daemon's own reading of main.cf plus the daemon's own opening of every table,
so that the two cannot disagree.

Raises: nothing; problems are the result.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from postvirt.config.lists import split
from postvirt.config.load import Checked, check
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError
from postvirt.server.assembly import prepare, settle_as_mail_owner
from postvirt.system import log
from postvirt.tables.registry import open_table
from postvirt.tables.table import TableOptions

# The three searches for a mailbox, and what it means when there is nothing to search.
_OWNER_MAPS = {
    "virtual_mailbox_maps": "every recipient is unknown, and all mail bounces",
    "virtual_uid_maps": "no mailbox has an owner, and all mail is deferred",
    "virtual_gid_maps": "no mailbox has a group, and all mail is deferred",
}
_STATUS_FILTER = "virtual_delivery_status_filter"


def inspect(
    config_directory: str | None,
    overrides: Sequence[tuple[str, str]],
    *,
    service_name: str,
) -> list[ConfigError]:
    """Every problem, those of main.cf first.

    As root it opens the tables as mail_owner, and this process stays mail_owner.
    """
    checked = check(
        config_directory,
        overrides,
        process_name=service_name,
        service_name=service_name,
    )
    problems = list(checked.problems)
    if checked.settings is None:
        return problems
    try:
        prepare(checked.settings)
        settle_as_mail_owner(checked.settings)
    except ConfigError as error:
        problems.append(error)
        return problems
    problems += _mailbox_base(checked, checked.settings)
    for parameter, meaning in _OWNER_MAPS.items():
        problems += _owner_maps(checked, checked.settings, parameter, meaning)
    options = TableOptions(utf8=checked.settings.smtputf8_enable, utf8_request=False)
    problems += _tables(checked, _STATUS_FILTER, checked.settings, options)
    return problems


def _mailbox_base(checked: Checked, settings: Settings) -> list[ConfigError]:
    base = settings.virtual_mailbox_base
    if os.path.isdir(base):
        return []
    trouble = f"virtual_mailbox_base = {base}: there is no such directory"
    remedy = f"make it, for example with: install -d -o vmail -g vmail {base}"
    return [checked.blame("virtual_mailbox_base", trouble, remedy=remedy)]


def _owner_maps(
    checked: Checked, settings: Settings, parameter: str, meaning: str
) -> list[ConfigError]:
    if not getattr(settings, parameter).strip():
        remedy = f"set {parameter}, for example to hash:/etc/postfix/table"
        if parameter != "virtual_mailbox_maps":
            remedy = f"set {parameter}, for example to static:5000"
        trouble = f"{parameter} is empty: {meaning}"
        return [checked.blame(parameter, trouble, remedy=remedy)]
    options = TableOptions(utf8=settings.smtputf8_enable, paranoid=True)
    return _tables(checked, parameter, settings, options)


def _tables(
    checked: Checked, parameter: str, settings: Settings, options: TableOptions
) -> list[ConfigError]:
    """Open each table of a list; whatever that would log is a problem."""
    problems = []
    for name in split(getattr(settings, parameter)):
        lines: list[tuple[str, str]] = []
        log.start(
            lambda severity, line, lines=lines: lines.append(  # type: ignore[misc]
                (severity, line.decode("utf-8", "surrogateescape"))
            ),
            utf8=settings.smtputf8_enable,
        )
        try:
            open_table(name, options).close()
        except ConfigError as error:
            lines.append(("error", error.text))
        for severity, line in lines:
            problems.append(
                checked.blame(
                    parameter,
                    f"{name}: {line}" if name not in line else line,
                    item=name,
                    remedy=_remedy(line, name),
                    severity="warning" if severity == "warning" else "error",
                )
            )
    log.start(log.to_stderr("postvirt"))
    return problems


def _remedy(line: str, name: str) -> str:
    """What to do about a table that cannot be used."""
    type_, _, path = name.partition(":")
    if "No such file" in line and type_ in ("hash", "btree", "lmdb"):
        return f"make the index with: postmap {name}"
    if "older than source" in line:
        return f"make the index again with: postmap {name}"
    if "Permission denied" in line:
        return f"let mail_owner read it, for example with: chmod a+r {path}*"
    return ""
