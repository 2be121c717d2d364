"""Parameters that are misspelled, out of date, or do not do what they seem to do."""

from __future__ import annotations

from tests.harness.installations import Broken, Installation, Sound

MASTER_CF = "virtual unix - n n - - virtual\n"


def twice(it: Installation) -> None:
    with (it.etc / "main.cf").open("a") as file:
        file.write("virtual_minimum_uid = 200\nvirtual_minimum_uid = 300\n")


def orphan(it: Installation) -> None:
    text = (it.etc / "main.cf").read_text()
    (it.etc / "main.cf").write_text(f"  soft_bounce = yes\n{text}")


def no_service(it: Installation) -> None:
    it.master_cf(MASTER_CF)
    it.set(virtual_transport="vritual")


def overridden(it: Installation) -> None:
    it.master_cf("virtual unix - n n - - virtual -o virtual_minimum_uid=500\n")
    it.set(virtual_minimum_uid="200")


def with_a_hidden_mistake(it: Installation) -> None:
    it.set(virtual_minimum_uid="abc")
    it.mailboxes({"bob@example.com": "missing/bob"})


def debian(it: Installation) -> None:
    """What a fresh Debian has, with virtual mailboxes on top."""
    it.master_cf(
        "smtp inet n - y - - smtpd\n"
        "pickup unix n - y 60 1 pickup\n"
        "cleanup unix n - y - 0 cleanup\n"
        "local unix - n n - - local\n" + MASTER_CF
    )
    it.set(
        smtpd_banner="$myhostname ESMTP $mail_name (Debian/GNU)",
        biff="no",
        append_dot_mydomain="no",
        readme_directory="no",
        smtpd_tls_cert_file="/etc/ssl/certs/ssl-cert-snakeoil.pem",
        smtpd_tls_security_level="may",
        smtp_tls_session_cache_database="btree:${data_directory}/smtp_scache",
        smtpd_relay_restrictions="permit_mynetworks permit_sasl_authenticated"
        " defer_unauth_destination",
        alias_maps="hash:/etc/aliases",
        alias_database="hash:/etc/aliases",
        mydestination="$myhostname, localhost.example.org, localhost",
        mailbox_size_limit="0",
        recipient_delimiter="+",
        mailbox_command='procmail -a "$EXTENSION"',
        address_verify_poll_count="${stress?{1}:{3}}",
    )


def how_to(it: Installation) -> None:
    """What guides to PostfixAdmin, Dovecot, Amavis and Mailman tell people to write."""
    it.set(
        proxy_read_maps="$local_recipient_maps $mydestination $virtual_alias_maps"
        " $virtual_alias_domains $virtual_mailbox_maps $virtual_mailbox_domains"
        " $relay_recipient_maps $relay_domains $canonical_maps $sender_canonical_maps"
        " $recipient_canonical_maps $relocated_maps $transport_maps $mynetworks"
        " $virtual_mailbox_limit_maps $virtual_uid_maps $virtual_gid_maps"
        " $sql_relay_maps",
        dovecot_destination_recipient_limit="1",
        mailman_destination_recipient_limit="1",
        smtp_tls_loglevel_maps="",
        mua_client_restrictions="permit_sasl_authenticated, reject",
        **{
            "smtp-amavis_destination_recipient_limit": "1",
            "policyd-spf_time_limit": "3600",
        },
    )


def routed(it: Installation) -> None:
    it.master_cf(MASTER_CF + "lmtp unix - - n - - lmtp\n")
    it.set(
        virtual_transport="lmtp:unix:private/dovecot-lmtp",
        transport_maps="inline:{example.com=virtual:}",
    )


def service_of_its_own(it: Installation) -> None:
    """Its options are those of the entry that Debian has."""
    it.master_cf(MASTER_CF)
    it.set(virtual_transport="postvirt")


BROKEN = (
    Broken(
        "a template that nobody has filled in",
        "PV002",
        lambda it: it.set(myhostname="{{ fqdn }}"),
        lambda it: it.set(myhostname="mail.example.org"),
        says=["write the name of this host, such as mail.example.org"],
    ),
    Broken(
        "a misspelled parameter",
        "PV003",
        lambda it: it.set(virtual_mailbox_limt="100000000"),
        severity="warning",
        says=["did you mean virtual_mailbox_limit?"],
        needs="postfix",
    ),
    Broken(
        "an unknown parameter",
        "PV003",
        lambda it: it.set(virtual_frobnication="yes"),
        lambda it: it.set(virtual_frobnication=None),
        severity="warning",
        says=["unused parameter: virtual_frobnication=yes"],
    ),
    Broken(
        "two unknown parameters",
        "PV003",
        lambda it: it.set(virtual_frobnication="yes", xyzzy="1"),
        lambda it: it.set(virtual_frobnication=None, xyzzy=None),
        severity="warning",
        says=["unused parameters: virtual_frobnication, xyzzy"],
    ),
    Broken(
        "a parameter that Postfix sets",
        "PV004",
        lambda it: it.set(process_name="postvirt"),
        severity="warning",
        needs="postfix",
    ),
    Broken("a parameter twice", "PV005", twice, severity="warning", needs="postfix"),
    Broken(
        "a line that continues nothing",
        "PV006",
        orphan,
        lambda it: it.set(),
        severity="warning",
        says=["remove the white space"],
    ),
    Broken(
        "a name that is not set",
        "PV007",
        lambda it: it.set(virtual_mailbox_base=f"{it.mail}$vritual_root"),
        lambda it: it.set(virtual_mailbox_base=str(it.mail)),
        severity="warning",
        says=["virtual_mailbox_base refers to $vritual_root"],
    ),
    Broken(
        "a misspelled name among the tables of proxymap",
        "PV007",
        lambda it: it.set(proxy_read_maps="$virtual_mailbx_maps $virtual_alias_maps"),
        lambda it: it.set(proxy_read_maps="$virtual_mailbox_maps $virtual_alias_maps"),
        severity="warning",
        says=["did you mean $virtual_mailbox_maps?"],
    ),
    Broken(
        "a dollar sign that main.cf takes",
        "PV007",
        lambda it: it.set(virtual_alias_maps="pcre:{{/(.*)@a/ $1@b}}"),
        lambda it: it.set(virtual_alias_maps="pcre:{{/(.*)@a/ $$1@b}}"),
        severity="warning",
        says=["write $$1"],
    ),
    Broken(
        "a brace that is not closed, for another program",
        "PV002",
        lambda it: it.set(smtpd_banner="${myhostname ESMTP"),
        lambda it: it.set(smtpd_banner="${myhostname} ESMTP"),
        says=["truncated macro reference"],
    ),
    Broken(
        "a number that is none",
        "PV002",
        lambda it: it.set(virtual_minimum_uid="abc"),
        lambda it: it.set(virtual_minimum_uid="100"),
        says=["the other checks use its default, virtual_minimum_uid = 100"],
    ),
    Broken(
        "a mistake beside a number that is none",
        "PV204",
        with_a_hidden_mistake,
    ),
    Broken(
        "no virtual_mailbox_base",
        "PV002",
        lambda it: it.set(virtual_mailbox_base=""),
        lambda it: it.set(virtual_mailbox_base=str(it.mail)),
        says=["what depends on virtual_mailbox_base was not checked"],
    ),
    Broken(
        "a mistake beside a missing virtual_mailbox_base",
        "PV303",
        lambda it: it.set(
            virtual_mailbox_base="",
            mydestination="example.com",
            virtual_mailbox_domains="example.org",
        ),
        lambda it: it.set(
            virtual_mailbox_domains="example.com", mydestination="localhost"
        ),
    ),
    Broken(
        "values that refer to each other",
        "PV008",
        lambda it: it.set(
            virtual_mailbox_base="$vroot", vroot="${virtual_mailbox_base}"
        ),
        lambda it: it.set(vroot=str(it.mail)),
        says=["$virtual_mailbox_base -> $vroot -> $virtual_mailbox_base"],
    ),
    Broken(
        "a circle through a default",
        "PV008",
        lambda it: it.set(virtual_alias_maps="$virtual_alias_domains"),
        lambda it: it.set(virtual_alias_maps=None),
    ),
    Broken(
        "a limit for local mailboxes",
        "PV009",
        lambda it: it.set(mailbox_size_limit="100000000"),
        severity="warning",
        says=["use virtual_mailbox_limit"],
        needs="postfix",
    ),
    Broken(
        "a transport without a service",
        "PV013",
        no_service,
        says=["master.cf has no service vritual"],
        needs="postfix",
    ),
    Broken(
        "a value that master.cf overrides",
        "PV014",
        overridden,
        lambda it: it.set(virtual_minimum_uid="500"),
        severity="info",
        says=["500 for service virtual, not 200"],
    ),
)

SOUND = (
    Sound("what Debian's main.cf has", debian, silent=["PV009", "PV014"]),
    Sound("what guides tell people to write", how_to, silent=["PV007", "PV011"]),
    Sound("a transport table that leads back", routed, silent=["PV012"]),
    Sound("a service without an entry", service_of_its_own, silent=["PV013", "PV306"]),
    Sound(
        "an option that main.cf does not have",
        lambda it: it.master_cf(MASTER_CF[:-1] + " -o virtual_minimum_uid=500\n"),
        silent=["PV014"],
    ),
)
