"""The codes of problems: what each is about, and why it matters.

A code never changes its meaning, so that scripts may rely on it. The first digit tells
the subject: 0 main.cf and master.cf as texts, 1 tables, 2 mailboxes and their owners,
3 domains, 4 limits and locks, 5 services and launcher, 6 the machine.

Raises: nothing.
"""

from __future__ import annotations

CODES = {
    "PV001": "the file cannot be read as a configuration, so no mail is delivered",
    "PV002": "a value that cannot be used keeps the delivery agent from starting",
    "PV003": "a parameter that nobody reads has no effect",
    "PV010": "master(8) cannot start a service that it does not understand",
    "PV101": "a table that cannot be opened defers all mail that needs it",
    "PV102": "there may be something wrong with the answers of this table",
    "PV103": "without this table no mail is delivered",
    "PV201": "mail is deferred as long as it cannot be put where it belongs",
    "PV501": "virtual(8) needs root's rights, to deliver with those of the recipients",
}
