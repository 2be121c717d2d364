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
    "PV202": "whoever may not pass a directory gets no mail below it: it is deferred",
    "PV203": "a mailbox that cannot be made or written gets no mail: it is deferred",
    "PV204": "no directory is made for an mbox file, so its mail is deferred",
    "PV205": "nothing is delivered through a link that leads nowhere: mail is deferred",
    "PV206": "mail is not put into a file that another user could have put there",
    "PV207": "a path that may lead out of virtual_mailbox_base is refused: mail waits",
    "PV208": "mistakes in what was not looked at show with the first message",
    "PV209": "mistakes in what was not looked at show with the first message",
    "PV210": "a mailbox whose owner is not a number gets no mail: it is deferred",
    "PV211": "accounts of the system must not own mailboxes: mail is deferred",
    "PV212": "mail is never delivered with the rights of root's group: it is deferred",
    "PV213": "a mailbox without an owner gets no mail: it is deferred",
    "PV214": "a number is enough, but quotas and people go by names",
    "PV215": "mail for one of the owners is deferred, or not readable for the other",
    "PV216": "mail for whom a table cannot answer is deferred",
    "PV301": "a domain can be in one class only: the first list that has it wins",
    "PV302": "mail for a domain that is in no list never comes to the delivery agent",
    "PV303": "mail for a domain in another list never comes to the delivery agent",
    "PV304": "mail for a domain without mailboxes bounces",
    "PV305": "what is in the list is not known, and mail may wait",
    "PV306": "what a service that gets no mail would do with it does not matter",
    "PV402": "an mbox file that reached its limit takes no more mail: it bounces",
    "PV411": "an mbox file is not written without its lock: mail is deferred",
    "PV412": "two programs that lock in different ways destroy an mbox file",
    "PV413": "two programs that lock in another order wait for each other",
    "PV501": "virtual(8) needs root's rights, to deliver with those of the recipients",
    "PV510": "a service that cannot show the metrics that it is to show does not start",
}
