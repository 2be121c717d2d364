"""Whether databases answer: one query for each, with a time limit.

The query is for an address that need not exist: any answer will do. It is made as for a
delivery, so a delivery would receive the same answer.

Raises: nothing.
Security: the parameters of a table may contain a password, which is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Thread

from postvirt.config.lists import words
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.opening import options_for
from postvirt.inspection.tables.table_refs import (
    DATABASES,
    Listed,
    different_tables,
    parameter_of,
)
from postvirt.model.text import wire
from postvirt.system import log
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import TableOptions
from postvirt.tables.unavailable import Unavailable

PATIENCE_SECONDS = 15.0
_SECRETS = ("password", "bind_pw")
_NAMES = ("user", "dbname", "hosts", "server_host", "bind_dn")
_HIDDEN = "********"


def check_answers(subject: Subject) -> Iterator[Problem]:
    """Query every database."""
    for listed in different_tables(subject):
        if listed.type not in DATABASES:
            continue
        options = options_for(subject.settings, listed.parameter)
        question = _Question(
            subject.tables, listed.table, _key(subject, listed), options
        )
        trouble = question.ask(PATIENCE_SECONDS)
        if trouble:
            yield listed.problem(
                subject,
                "PV113",
                f"{listed.table} does not answer:"
                f" {_without_secrets(subject, trouble, listed)}",
                remedy="make sure that the server is running, and that the names of the"
                f" host, database, user and columns in {listed.name} are correct; then"
                f" try: postvirt lookup {listed.table} ADDRESS",
            )


@dataclass(slots=True)
class _Question:
    """A lookup in a thread of its own, because a driver may wait forever."""

    tables: TableOpener
    table: str
    key: bytes
    options: TableOptions
    _lines: list[str] = field(default_factory=list)
    _error: str = ""

    def ask(self, patience_seconds: float) -> str:
        """What went wrong, or ""."""
        # If it never returns, the program can end all the same.
        thread = Thread(target=self._look_up, daemon=True)
        with log.diverted(self._note):
            thread.start()
            thread.join(patience_seconds)
        if thread.is_alive():
            said = f" ({self._lines[-1]})" if self._lines else ""
            return f"no answer within {patience_seconds:.0f} seconds{said}"
        return self._error

    def _note(self, severity: str, line: bytes) -> None:
        if severity:
            self._lines.append(line.decode("utf-8", "replace"))

    def _look_up(self) -> None:
        try:
            table = self.tables.open(self.table, self.options)
        except ConfigError:
            return  # reported by the check that opens it
        if isinstance(table, Unavailable):
            return  # reported as well
        try:
            table.lookup(self.key)
        except TableError as error:
            # The message of the last server, or that of the table.
            self._error = str(error)
        finally:
            table.close()


def _key(subject: Subject, listed: Listed) -> bytes:
    """An address in a domain for which the table is queried at all."""
    domains = [
        *_own_domains(subject, listed),
        *words(subject.settings.virtual_mailbox_domains),
    ]
    for domain in domains:
        if ":" not in domain and "/" not in domain and "." in domain.strip("."):
            return wire(f"postvirt.check-config@{domain.lower()}")
    return b"postvirt.check-config@example.com"


def _own_domains(subject: Subject, listed: Listed) -> tuple[str, ...]:
    return words(parameter_of(subject, listed, "domain"))


def _without_secrets(subject: Subject, text: str, listed: Listed) -> str:
    """The text with passwords hidden, but for those that are also a name.

    Hiding the name of a user would only tell that it is the password.
    """
    names = {parameter_of(subject, listed, name) for name in _NAMES}
    for name in _SECRETS:
        secret = parameter_of(subject, listed, name)
        if secret and secret not in names:
            # A short word is part of other words, too.
            word = rf"\b{secret}\b" if secret.isalnum() else re.escape(secret)
            text = re.sub(word, _HIDDEN, text)
    return text
