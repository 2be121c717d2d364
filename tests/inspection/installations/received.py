"""Mail that this delivery agent does not receive, and mailboxes that receive none."""

from __future__ import annotations

import shutil

from tests.harness.installations import Broken, Installation, Sound

VIRTUAL = "virtual unix - n n - - virtual\n"
LMTP = "lmtp unix - - n - - lmtp\n"
TO_DOVECOT = "lmtp:unix:private/dovecot-lmtp"
BOB, ANN = "bob@example.com", "ann@example.com"
BOTH = {BOB: "bob/", ANN: "ann/"}


def dovecot(it: Installation) -> None:
    """Nothing for virtual(8), which is in master.cf all the same."""
    it.master_cf(VIRTUAL + LMTP)
    it.set(
        virtual_transport=TO_DOVECOT,
        virtual_mailbox_base="",
        virtual_uid_maps="",
        virtual_gid_maps="",
        message_size_limit="100000000",
    )


def dovecot_with_its_own_values(it: Installation) -> None:
    """A table of mailboxes that only says which recipients exist."""
    dovecot(it)
    it.mailboxes({BOB: "1", ANN: "1", "/etc/../x@example.com": "OK"})
    it.set(virtual_minimum_uid="none", virtual_mailbox_limit_maps="static:1")


def dovecot_without_the_service(it: Installation) -> None:
    dovecot(it)
    it.master_cf(LMTP)


def dovecot_by_a_table(it: Installation) -> None:
    dovecot(it)
    it.set(transport_maps=it.table("transport", {"example.com": TO_DOVECOT}))


def only_local_mail(it: Installation) -> None:
    """What a fresh Debian has: no virtual mailboxes at all."""
    it.master_cf(VIRTUAL + "local unix - n n - - local\n")
    it.set(
        virtual_mailbox_domains="",
        virtual_mailbox_maps="",
        virtual_mailbox_base="",
        virtual_uid_maps="",
        virtual_gid_maps="",
        mydestination="example.com, localhost",
    )


def a_missing_table_of_recipients(it: Installation) -> None:
    """Postfix's smtpd(8) needs it, whoever delivers."""
    dovecot(it)
    it.set(virtual_mailbox_maps=f"texthash:{it.etc}/missing")


def recipients_from_a_server(it: Installation) -> None:
    """smtpd(8) may ask it, and with $1 it may be told the mailbox by the sender."""
    dovecot(it)
    it.set(
        virtual_mailbox_domains="example.com, socketmap:unix:/run/accounts:domain",
        virtual_mailbox_maps="socketmap:unix:/run/accounts:mailbox,"
        " regexp:{{/^(.*)@example\\.com$$/ $$1}}",
    )


def all_domains_by_a_table(it: Installation) -> None:
    it.master_cf(VIRTUAL + LMTP)
    it.set(transport_maps=it.table("transport", {"example.com": TO_DOVECOT}))
    shutil.rmtree(it.mail)  # of no use then


def one_domain_by_a_table(it: Installation) -> None:
    it.master_cf(VIRTUAL + LMTP)
    it.mailboxes({BOB: "bob/", "eve@example.org": "missing/mbox"})
    it.set(
        virtual_mailbox_domains="example.com, example.org",
        transport_maps=it.table("transport", {"example.org": TO_DOVECOT}),
    )


def one_address_by_a_table(it: Installation) -> None:
    it.master_cf(VIRTUAL + LMTP)
    it.mailboxes({BOB: "bob/", ANN: "missing/mbox"})
    it.set(transport_maps=it.table("transport", {ANN: TO_DOVECOT}))


def addresses_of_mailman(it: Installation) -> None:
    """In both tables, for smtpd(8); some are in a relay domain."""
    it.master_cf(VIRTUAL + LMTP)
    it.mailboxes({BOB: "bob/"})
    names = (ANN, "news@lists.example.org", "news-join@lists.example.org")
    lists = it.table("lists", dict.fromkeys(names, "lmtp:[127.0.0.1]:8024"))
    it.set(
        virtual_mailbox_maps=f"texthash:{it.etc}/mailboxes, {lists}",
        relay_domains="lists.example.org",
        transport_maps=lists,
    )


def an_address_without_a_transport_of_its_own(it: Installation) -> None:
    """The entry in transport_maps changes nothing."""
    it.master_cf(VIRTUAL + LMTP)
    it.mailboxes({BOB: "bob/", "eve@example.org": "eve/"})
    it.set(
        relay_domains="example.org",
        transport_maps=it.table("transport", {"eve@example.org": ":"}),
    )


def beside_a_service_without_mail(it: Installation) -> None:
    """The settings are the same, and the first entry is not the one with mail."""
    it.master_cf(VIRTUAL + "ours unix - n n - - virtual\n")
    it.mailboxes({BOB: "missing/mbox"})
    it.set(virtual_transport="ours")


def a_service_without_mail_has_worse_options(it: Installation) -> None:
    it.master_cf(
        "unused unix - n n - - virtual -o virtual_uid_maps=texthash:/missing\n"
        + VIRTUAL
    )


def swallowed(it: Installation) -> None:
    it.mailboxes(BOTH)
    it.set(virtual_alias_maps=it.table("aliases", {"@example.com": BOB}))


def swallowed_in_an_index(it: Installation) -> None:
    it.mailboxes(BOTH)
    aliases = it.table("aliases", {"@example.com": BOB}, kind="hash")
    it.set(virtual_alias_maps=aliases)


def swallowed_by_a_pattern(it: Installation) -> None:
    it.mailboxes(BOTH)
    it.set(virtual_alias_maps="regexp:{{/@example\\.com$$/ bob@example.com}}")


def swallowed_on_the_way(it: Installation) -> None:
    """The entry of its own leads to the one for everybody."""
    it.mailboxes(BOTH)
    aliases = {"@example.com": "all@example.org", "all@example.org": "x@example.net"}
    it.set(virtual_alias_maps=it.table("aliases", aliases))


def swallowed_by_a_domain(it: Installation) -> None:
    it.mailboxes(BOTH)
    it.set(virtual_alias_maps=it.table("aliases", {"@example.com": "@example.net"}))


def each_keeps_its_address(it: Installation) -> None:
    it.mailboxes(BOTH)
    it.set(
        virtual_alias_maps=it.table(
            "aliases", {"@example.com": BOB, ANN: ANN, "carl@example.com": BOB}
        )
    )


def kept_on_a_detour(it: Installation) -> None:
    it.mailboxes(BOTH)
    aliases = {"@example.com": "all@example.net", "all@example.net": f"{BOB}, {ANN}"}
    it.set(virtual_alias_maps=it.table("aliases", aliases | {BOB: BOB, ANN: ANN}))


def somebody_forwards_mail(it: Installation) -> None:
    it.mailboxes(BOTH)
    it.set(virtual_alias_maps=it.table("aliases", {BOB: "bob@example.org"}))


def a_catchall_of_another_domain(it: Installation) -> None:
    it.mailboxes(BOTH)
    it.set(virtual_alias_maps=it.table("aliases", {"@example.org": BOB}))


def aliases_of_no_domain(it: Installation) -> None:
    it.master_cf(VIRTUAL)
    it.set(virtual_alias_maps=it.table("aliases", {"@example.org": BOB}))


def aliases_of_a_domain(it: Installation) -> None:
    it.master_cf(VIRTUAL)
    aliases = {"example.org": "anything", "@example.org": BOB}
    it.set(virtual_alias_maps=it.table("aliases", aliases))


def aliases_for_the_mail_of_others(it: Installation) -> None:
    """Mail from here to the domains of others is redirected."""
    aliases_of_no_domain(it)
    it.set(virtual_alias_domains="")


BROKEN = (
    Broken(
        "no mail for this agent",
        "PV306",
        dovecot,
        lambda it: it.set(virtual_transport="virtual"),
        severity="info",
        says=[f"service virtual: virtual_transport = {TO_DOVECOT}"],
    ),
    Broken(
        "no mail for this agent, and perhaps by a table",
        "PV306",
        lambda it: [dovecot(it), it.set(transport_maps="static:lmtp:x")],
        lambda it: it.set(virtual_transport="virtual", transport_maps=""),
        severity="info",
        says=["unless static:lmtp:x gives it some"],
    ),
    Broken(
        "no virtual mailbox domains",
        "PV306",
        only_local_mail,
        lambda it: it.set(
            virtual_mailbox_domains="example.com", mydestination="localhost"
        ),
        severity="info",
        says=["virtual_mailbox_domains contains no domain"],
    ),
    Broken(
        "all domains sent elsewhere by a table",
        "PV306",
        all_domains_by_a_table,
        lambda it: it.set(transport_maps=None),
        severity="info",
        says=["transport_maps sends the mail for all domains elsewhere"],
    ),
    Broken(
        "one domain sent elsewhere by a table",
        "PV012",
        one_domain_by_a_table,
        lambda it: it.set(transport_maps=None),
        severity="info",
        says=[f"transport_maps sends the mail for example.org to {TO_DOVECOT}"],
    ),
    Broken(
        "an address of a relay domain, and an entry that changes nothing",
        "PV303",
        an_address_without_a_transport_of_its_own,
        lambda it: it.set(
            relay_domains="", virtual_mailbox_domains="example.com, example.org"
        ),
        says=["example.org is in relay_domains and not in virtual_mailbox_domains"],
    ),
    Broken(
        "one address sent elsewhere by a table",
        "PV310",
        one_address_by_a_table,
        lambda it: it.set(transport_maps=None),
        severity="info",
        says=[f"the mail for 1 address ({ANN}) to {TO_DOVECOT}"],
    ),
    Broken(
        "mailboxes that a server may choose",
        "PV125",
        lambda it: it.set(virtual_mailbox_maps="socketmap:unix:/run/accounts:mailbox"),
        lambda it: it.mailboxes({BOB: "bob/"}),
        says=["is not allowed for security-sensitive data", "use another type"],
    ),
    Broken(
        "a missing table of recipients, with Dovecot",
        "PV104",
        a_missing_table_of_recipients,
        lambda it: it.mailboxes({BOB: "1"}),
    ),
    Broken(
        "a mistake of two services, one of them without mail",
        "PV204",
        beside_a_service_without_mail,
    ),
    Broken(
        "an alias for everybody",
        "PV308",
        swallowed,
        lambda it: it.set(
            virtual_alias_maps=it.table("aliases", {"@example.com": BOB, ANN: ANN})
        ),
        severity="warning",
        says=[
            "replaces every address in example.com with bob@example.com",
            "1 mailbox (ann@example.com)",
            "ann@example.com ann@example.com",
        ],
    ),
    Broken(
        "an alias for everybody, in an index",
        "PV308",
        swallowed_in_an_index,
        lambda it: it.table("aliases", {"@example.com": BOB, ANN: ANN}, kind="hash"),
        severity="warning",
        says=["make the index again with postmap"],
        needs="postfix",
    ),
    Broken(
        "an alias for everybody, as a pattern",
        "PV308",
        swallowed_by_a_pattern,
        lambda it: it.set(virtual_alias_maps=None),
        severity="warning",
    ),
    Broken(
        "an alias for everybody, and further ones",
        "PV308",
        swallowed_on_the_way,
        each_keeps_its_address,
        severity="warning",
        says=["2 mailboxes"],
    ),
    Broken(
        "aliases of no domain",
        "PV309",
        aliases_of_no_domain,
        aliases_of_a_domain,
        severity="warning",
        says=["every address in example.org, which no domain", "example.org anything"],
    ),
    Broken(
        "an alias for a whole domain",
        "PV308",
        swallowed_by_a_domain,
        lambda it: it.set(virtual_alias_maps=None),
        severity="info",
    ),
)

_ALL = ["PV012", "PV306", "PV308", "PV309"]

SOUND = (
    Sound("Dovecot's LMTP", dovecot),
    Sound("Dovecot's LMTP, with values of its own", dovecot_with_its_own_values),
    Sound("Dovecot's LMTP, and no service virtual", dovecot_without_the_service),
    Sound("Dovecot's LMTP, by transport_maps", dovecot_by_a_table),
    Sound(
        "Dovecot's LMTP, and recipients that only smtpd asks", recipients_from_a_server
    ),
    Sound("only local mail", only_local_mail),
    Sound("mailboxes of a domain sent elsewhere", one_domain_by_a_table),
    Sound("the mailbox of an address sent elsewhere", one_address_by_a_table),
    Sound("addresses of Mailman", addresses_of_mailman, silent=["PV012", "PV303"]),
    Sound("all domains of a table", all_domains_by_a_table),
    Sound(
        "worse options of a service without mail",
        a_service_without_mail_has_worse_options,
    ),
    Sound("each mailbox keeps its address", each_keeps_its_address, silent=_ALL),
    Sound("kept on a detour", kept_on_a_detour, silent=_ALL),
    Sound("somebody forwards mail", somebody_forwards_mail, silent=_ALL),
    Sound("aliases of a domain", aliases_of_a_domain, silent=_ALL),
    Sound("aliases for the mail of others", aliases_for_the_mail_of_others),
    Sound("a catch-all of another domain", a_catchall_of_another_domain, silent=_ALL),
)
