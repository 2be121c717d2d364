"""docker-mailserver: text files that a script makes from its list of accounts."""

from __future__ import annotations

from tests.harness.shapes import Shape, Site


def _makes(it: Site) -> None:
    rules = it.table("pcre", "maps/sender_header_filter.pcre", _FILTER)
    it.set(
        biff="no",
        append_dot_mydomain="no",
        readme_directory="no",
        alias_maps=it.table("hash", "aliases", "postmaster: root\n"),
        alias_database="$alias_maps",
        mydestination="$myhostname, localhost.$mydomain, localhost",
        relayhost="",
        mynetworks="127.0.0.0/8 [::1]/128 [fe80::]/64",
        mailbox_size_limit="0",
        message_size_limit="10240000",
        recipient_delimiter="+",
        inet_interfaces="all",
        inet_protocols="all",
        smtpd_tls_chain_files="/etc/ssl/private/ssl-cert-snakeoil.key"
        " /etc/ssl/certs/ssl-cert-snakeoil.pem",
        smtpd_sender_restrictions="$dms_smtpd_sender_restrictions",
        dms_smtpd_sender_restrictions="permit_sasl_authenticated, permit_mynetworks,"
        " reject_unknown_sender_domain",
        mua_sender_restrictions="reject_authenticated_sender_login_mismatch,"
        " $dms_smtpd_sender_restrictions",
        postscreen_dnsbl_sites="\n    zen.spamhaus.org=127.0.0.[2..11]*3"
        "\n    list.dnswl.org=127.0.[0..255].0*-2",
        postscreen_dnsbl_whitelist_threshold="-1",
        smtpd_sasl_type="dovecot",
        smtpd_sasl_path="/dev/shm/sasl-auth.sock",
        **{"policyd-spf_time_limit": "3600"},
        milter_protocol="6",
        milter_default_action="accept",
        smtpd_milters="",
        header_checks=it.table("pcre", "maps/header_checks.pcre", _HEADER_CHECKS),
        smtp_header_checks=rules,
        virtual_mailbox_domains=it.file("vhost", "example.com\nexample.net\n"),
        virtual_mailbox_maps=it.table("texthash", "vmailbox", _VMAILBOX),
        virtual_alias_maps=", ".join(
            (
                it.table("texthash", "virtual", _VIRTUAL),
                it.table("pcre", "maps/virtual.pcre", _REGEXP),
            )
        ),
        virtual_mailbox_base=str(it.mail),
        virtual_minimum_uid="100",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        compatibility_level="2",
    )
    option = "-o smtpd_sender_restrictions=$mua_sender_restrictions"
    it.services += [
        f"submissions unix n - n - - smtpd {option}",
        "policyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf",
        f"sender-cleanup unix n - n - 0 cleanup -o header_checks={rules}",
    ]


_VMAILBOX = """\
# WARNING: this file is generated from the list of accounts
bob@example.com example.com/bob/
ann.smith@example.com example.com/ann.smith/
joe@example.net example.net/joe/
"""
_VIRTUAL = """\
sales@example.com bob@example.com
all@example.com bob@example.com,ann.smith@example.com
postmaster@example.net joe@example.net
"""
_REGEXP = "/^ann-[a-z]+@example\\.com$/ ann.smith@example.com\n"
_HEADER_CHECKS = "/^\\s*Received: from \\S+ \\(localhost\\b/ IGNORE\n"
_FILTER = "/^\\s*X-Enigmail/ IGNORE\n"

SHAPES = (
    Shape(
        "docker-mailserver",
        _makes,
        {
            "bob@example.com": "example.com/bob/",
            "ann.smith@example.com": "example.com/ann.smith/",
            "joe@example.net": "example.net/joe/",
        },
        {
            "bob+spring@example.com": ["bob+spring@example.com"],
            "sales@example.com": ["bob@example.com"],
            "all@example.com": ["bob@example.com", "ann.smith@example.com"],
            "ann-lists@example.com": ["ann.smith@example.com"],
            "postmaster@example.net": ["joe@example.net"],
        },
        ["nobody@example.com", "ann@example.net"],
        own_agent="lmtp:unix:/var/run/dovecot/lmtp",
    ),
)
