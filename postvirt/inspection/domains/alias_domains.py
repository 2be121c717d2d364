"""Whether domains with an alias for every address are domains of this mail system.

    PV309  such a domain in no domain class

Parity: virtual(5), virtual alias domains: the table also needs the domain itself as a
key, unless virtual_alias_domains lists the domain in another way.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.domains.domain_lists import shown_domains
from postvirt.inspection.domains.routes import Routes
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import INDEXES
from postvirt.model.text import text
from postvirt.routing.aliases import ALIAS_MAPS
from postvirt.routing.domain_classes import ALIAS_DOMAINS
from postvirt.system import log
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import ListedTable, TableOptions

# Nobody writes more of them by hand.
_MOST_DOMAINS = 1000


def check_alias_domains(subject: Subject) -> Iterator[Problem]:
    """The keys @domain of each table of virtual_alias_maps that can be listed."""
    if subject.master_cf is None:
        return  # `postvirt deliver`: no other program rewrites addresses
    opened = OpenTables(subject.tables)
    try:
        with log.diverted(lambda *_: None):
            routes = Routes(subject, opened)
            found = [
                (name, [one for one in domains if not routes.lists_of(one)])
                for name, domains in _catchalls(subject, opened)
            ]
    except (ConfigError, TableError):
        return  # reported with the table
    finally:
        opened.close()
    for name, domains in found:
        if domains and not routes.failures:
            yield _problem(subject, name, domains)


def _catchalls(
    subject: Subject, opened: OpenTables
) -> Iterator[tuple[str, list[bytes]]]:
    options = TableOptions(utf8=subject.settings.smtputf8_enable)
    for name in split(subject.settings.virtual_alias_maps):
        table = opened.open(name, options)
        if not isinstance(table, ListedTable):
            continue
        domains: list[bytes] = []
        for key, _ in table.entries():
            if key.startswith(b"@") and len(domains) < _MOST_DOMAINS:
                domains.append(key[1:])
        yield name, domains


def _problem(subject: Subject, name: str, domains: list[bytes]) -> Problem:
    shown = shown_domains(domains)
    # Mail from this machine to the domains of others may be redirected on purpose.
    severity: Severity = "info"
    remedy = f"if mail from other hosts is wanted, add {shown} to {ALIAS_DOMAINS}"
    if name in split(subject.settings.virtual_alias_domains):
        severity = "warning"
        again = ""
        if name.partition(":")[0] in INDEXES:
            again = ", and make the index again with postmap"
        remedy = (
            f"add the domain itself to {name} as a key with any value, such as"
            f" {text(domains[0])} anything{again}"
        )
    return subject.problem(
        "PV309",
        f"{name} has an alias for every address in {shown}, which no domain class"
        " lists",
        ALIAS_MAPS,
        severity=severity,
        item=name,
        remedy=remedy,
    )
