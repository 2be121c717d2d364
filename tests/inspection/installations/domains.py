"""Domains in the wrong list, in two lists, or in none."""

from __future__ import annotations

from tests.harness.installations import Broken, Installation, Sound

BOB = "bob@example.com"


def in_mydestination_too(it: Installation) -> None:
    it.set(mydestination="$myhostname, localhost, example.com")


def in_mydestination_as_a_name(it: Installation) -> None:
    it.set(
        mydestination="localhost, $mydomain",
        mydomain="example.com",
    )


def in_mydestination_as_a_file(it: Installation) -> None:
    path = it.etc / "local-domains"
    path.write_text("# local\nlocalhost\nexample.com\n")
    path.chmod(0o644)
    it.set(mydestination=str(path))


def in_alias_domains_too(it: Installation) -> None:
    domains = it.table("alias_domains", {"example.com": "x", "example.org": "x"})
    it.set(virtual_alias_domains=domains)


def in_alias_maps_too(it: Installation) -> None:
    """virtual_alias_domains is $virtual_alias_maps unless something else is said."""
    aliases = it.table("virtual", {"example.com": "anything", BOB: "bob@example.org"})
    it.set(virtual_alias_maps=aliases)


def in_relay_domains_too(it: Installation) -> None:
    it.set(relay_domains="example.com")


def below_a_relay_domain(it: Installation) -> None:
    it.mailboxes({"bob@mail.example.net": "bob/"})
    it.set(
        virtual_mailbox_domains="mail.example.net, example.com",
        relay_domains="example.net",
    )


def in_mydestination_and_in_a_database(it: Installation) -> None:
    """A table that only answers, as the domains of a database do."""
    path = it.etc / "domains"
    path.write_text("/^example\\.(com|net)$/ x\n")
    path.chmod(0o644)
    it.set(
        mydestination="localhost, example.net", virtual_mailbox_domains=f"regexp:{path}"
    )


def in_no_list(it: Installation) -> None:
    it.mailboxes({BOB: "bob/", "ann@example.org": "ann/", "ann@example.edu": "ann/"})


def misspelled(it: Installation) -> None:
    it.set(virtual_mailbox_domains="exmaple.com")


def forgotten_in_a_table(it: Installation) -> None:
    it.set(virtual_mailbox_domains=it.table("domains", {"example.org": "x"}))


def behind_an_exclamation_mark(it: Installation) -> None:
    it.set(virtual_mailbox_domains="!example.com, example.com")


def in_mydestination_only(it: Installation) -> None:
    it.set(mydestination="example.com", virtual_mailbox_domains="example.org")


def in_relay_domains_only(it: Installation) -> None:
    it.set(relay_domains="example.com", virtual_mailbox_domains="example.org")


def in_alias_domains_only(it: Installation) -> None:
    it.set(virtual_alias_domains="example.com", virtual_mailbox_domains="example.org")


def without_a_mailbox(it: Installation) -> None:
    it.set(virtual_mailbox_domains="example.com, example.org")


def a_file_that_is_missing(it: Installation) -> None:
    it.set(virtual_mailbox_domains=f"{it.etc}/domains")


def sent_elsewhere_by_transport_maps(it: Installation) -> None:
    """And in no list at all."""
    transports = it.table("transport", {"example.com": "smtp:[127.0.0.1]"})
    it.set(virtual_mailbox_domains="example.org", transport_maps=transports)


PLAIN = "example.com"

BROKEN = (
    Broken(
        "a domain in mydestination too",
        "PV301",
        in_mydestination_too,
        lambda it: it.set(mydestination="$myhostname, localhost"),
        says=["in both mydestination and virtual_mailbox_domains: example.com"],
    ),
    Broken(
        "a domain in mydestination by another name",
        "PV301",
        in_mydestination_as_a_name,
        lambda it: it.set(mydestination="localhost"),
    ),
    Broken(
        "a domain in a file of mydestination",
        "PV301",
        in_mydestination_as_a_file,
        lambda it: (it.etc / "local-domains").write_text("localhost\n"),
    ),
    Broken(
        "a domain in mydestination, which is delivered here",
        "PV301",
        lambda it: [
            it.master_cf("virtual unix - n n - - virtual\n"),
            in_mydestination_too(it),
            it.set(local_transport="virtual"),
        ],
        lambda it: it.set(mydestination="$myhostname, localhost"),
        severity="warning",
        says=["virtual_mailbox_domains: example.com; its mail gets here all the same"],
    ),
    Broken(
        "a domain below a local one, by the default of old versions",
        "PV301",
        lambda it: [
            below_a_relay_domain(it),
            it.set(
                compatibility_level="0", relay_domains=None, mydestination="example.net"
            ),
        ],
        lambda it: it.set(relay_domains=""),
        severity="warning",
        says=["set relay_domains without mail.example.net; its default contains it"],
    ),
    Broken(
        "a domain in mydestination and in a database",
        "PV301",
        in_mydestination_and_in_a_database,
        lambda it: it.set(mydestination="localhost"),
        says=["in both mydestination and virtual_mailbox_domains: example.net"],
    ),
    Broken(
        "a domain in virtual_alias_domains too",
        "PV301",
        in_alias_domains_too,
        lambda it: it.table("alias_domains", {"example.org": "x"}),
        says=["virtual_alias_domains", "bounces"],
    ),
    Broken(
        "a domain in virtual_alias_maps too",
        "PV301",
        in_alias_maps_too,
        lambda it: it.table("virtual", {BOB: "bob@example.org"}),
    ),
    Broken(
        "a domain in relay_domains too",
        "PV301",
        in_relay_domains_too,
        lambda it: it.set(relay_domains=""),
        severity="warning",
    ),
    Broken(
        "a domain below a relay domain",
        "PV301",
        below_a_relay_domain,
        lambda it: it.set(relay_domains=""),
        severity="warning",
        says=[
            "remove example.net from relay_domains, which matches domains below it",
            "or relay_domains from parent_domain_matches_subdomains",
        ],
    ),
    Broken(
        "domains in no list",
        "PV302",
        in_no_list,
        lambda it: it.set(
            virtual_mailbox_domains="example.com, example.org, example.edu"
        ),
        says=["add example.org to virtual_mailbox_domains"],
    ),
    Broken(
        "a misspelled domain",
        "PV302",
        misspelled,
        lambda it: it.set(virtual_mailbox_domains=PLAIN),
        says=["no domain class lists example.com", "2 entries", "it to exmaple.com in"],
    ),
    Broken(
        "a domain that a table forgets",
        "PV302",
        forgotten_in_a_table,
        lambda it: it.table("domains", {"example.org": "x", "example.com": "x"}),
    ),
    Broken(
        "a domain behind an exclamation mark",
        "PV302",
        behind_an_exclamation_mark,
        lambda it: it.set(virtual_mailbox_domains=PLAIN),
    ),
    Broken(
        "a domain that is sent elsewhere",
        "PV302",
        sent_elsewhere_by_transport_maps,
        lambda it: it.set(virtual_mailbox_domains=PLAIN),
    ),
    Broken(
        "a domain in mydestination only",
        "PV303",
        in_mydestination_only,
        lambda it: it.set(mydestination="", virtual_mailbox_domains=PLAIN),
        says=["move example.com from mydestination to virtual_mailbox_domains"],
    ),
    Broken(
        "a domain in relay_domains only",
        "PV303",
        in_relay_domains_only,
        lambda it: it.set(relay_domains="", virtual_mailbox_domains=PLAIN),
    ),
    Broken(
        "a domain in virtual_alias_domains only",
        "PV303",
        in_alias_domains_only,
        lambda it: it.set(virtual_alias_domains="", virtual_mailbox_domains=PLAIN),
    ),
    Broken(
        "a domain without a mailbox",
        "PV304",
        without_a_mailbox,
        lambda it: it.set(virtual_mailbox_domains=PLAIN),
        severity="info",
        says=["no mailboxes in example.org"],
    ),
    Broken(
        "a file of domains that is missing",
        "PV305",
        a_file_that_is_missing,
        lambda it: it.set(virtual_mailbox_domains=PLAIN),
        says=["virtual_mailbox_domains", "{root}/etc/domains", "No such file"],
    ),
    Broken(
        "a table of aliases that is missing",
        "PV104",
        lambda it: [
            it.master_cf("virtual unix - n n - - virtual\n"),
            it.set(virtual_alias_maps=f"mysql:{it.etc}/aliases.cf"),
        ],
        lambda it: it.set(virtual_alias_maps=None),
        says=["mysql:{root}/etc/aliases.cf: {root}/etc/aliases.cf does not exist"],
    ),
)


def domains_in_the_mailbox_table(it: Installation) -> None:
    """As Postfix has it when nothing is said about virtual_mailbox_domains."""
    it.mailboxes({"example.com": "anything", BOB: "bob/"})
    it.set(virtual_mailbox_domains="$virtual_mailbox_maps")


def domains_in_a_file(it: Installation) -> None:
    path = it.etc / "domains"
    path.write_text("# ours\nexample.com\n!example.org\n")
    path.chmod(0o644)
    it.set(virtual_mailbox_domains=str(path))


def domains_in_capitals(it: Installation) -> None:
    it.set(virtual_mailbox_domains="Example.COM")


def local_domains_by_this_transport(it: Installation) -> None:
    it.set(
        mydestination="example.com",
        virtual_mailbox_domains="",
        local_transport="virtual",
    )


def local_domains_by_mailbox_transport(it: Installation) -> None:
    it.set(
        mydestination="example.com",
        virtual_mailbox_domains="",
        mailbox_transport="virtual:",
    )


def local_domains_by_the_second_service(it: Installation) -> None:
    """Debian's own entry stays in master.cf, beside ours."""
    it.master_cf("virtual unix - n n - - virtual\npostvirt unix - n n - - virtual\n")
    it.set(
        mydestination="example.com",
        virtual_mailbox_domains="",
        local_transport="postvirt",
    )


def everything_by_transport_maps(it: Installation) -> None:
    it.mailboxes({"bob@mail.example.com": "bob/", "ann@example.org": "ann/"})
    transports = it.table("transport", {".example.com": "virtual:", "*": "virtual"})
    it.set(virtual_mailbox_domains="", transport_maps=transports)


def a_domain_by_transport_maps(it: Installation) -> None:
    transports = it.table("transport", {"example.com": "virtual:"})
    it.set(virtual_mailbox_domains="example.org", transport_maps=transports)


def a_pattern_in_transport_maps(it: Installation) -> None:
    """Patterns see whole addresses only."""
    it.set(
        virtual_mailbox_domains="example.org",
        transport_maps="regexp:{{/@example[.]com$$/ virtual:}}",
    )


SOUND = (
    Sound(
        "every domain there is",
        lambda it: it.set(
            mydestination="localhost", virtual_mailbox_domains="static:all"
        ),
    ),
    Sound("domains in the mailbox table", domains_in_the_mailbox_table),
    Sound("domains in a file", domains_in_a_file),
    Sound("domains in capitals", domains_in_capitals, silent=["PV304"]),
    Sound("local domains by this transport", local_domains_by_this_transport),
    Sound("local domains by mailbox_transport", local_domains_by_mailbox_transport),
    Sound("local domains by the second service", local_domains_by_the_second_service),
    Sound("everything by transport_maps", everything_by_transport_maps),
    Sound("a domain by transport_maps", a_domain_by_transport_maps),
    Sound("a pattern in transport_maps", a_pattern_in_transport_maps),
)
