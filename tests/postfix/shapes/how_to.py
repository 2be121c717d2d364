"""As Postfix's own VIRTUAL_README and the how-tos made from it have it: local files."""

from __future__ import annotations

from tests.harness.shapes import Shape, Site


def _makes(it: Site) -> None:
    it.directory("example.com")
    it.set(
        # How-tos begin with what the package has made.
        smtpd_banner="$myhostname ESMTP $mail_name (Debian/GNU)",
        biff="no",
        append_dot_mydomain="no",
        readme_directory="no",
        smtpd_tls_cert_file="/etc/ssl/certs/ssl-cert-snakeoil.pem",
        smtpd_tls_key_file="/etc/ssl/private/ssl-cert-snakeoil.key",
        smtpd_tls_security_level="may",
        smtp_tls_CApath="/etc/ssl/certs",
        smtp_tls_security_level="may",
        smtp_tls_session_cache_database="btree:${data_directory}/smtp_scache",
        smtpd_relay_restrictions="permit_mynetworks permit_sasl_authenticated"
        " defer_unauth_destination",
        mydestination="$myhostname, localhost.$mydomain, localhost",
        relayhost="",
        mynetworks="127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
        mailbox_size_limit="0",
        recipient_delimiter="+",
        inet_interfaces="all",
        virtual_mailbox_domains="example.com, example.net",
        virtual_mailbox_base=str(it.mail),
        virtual_mailbox_maps=it.table("hash", "vmailbox", _VMAILBOX),
        virtual_minimum_uid="100",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        virtual_alias_maps=it.table("hash", "virtual", _VIRTUAL),
    )


_VMAILBOX = """\
# mbox files for the office, maildirs for those who read mail with IMAP
info@example.com    example.com/info
sales@example.com   example.com/sales/
Anna@example.com    example.com/anna/
@example.net        example.net/everybody/
"""
_VIRTUAL = """\
postmaster@example.com   info@example.com
abuse@example.com        info@example.com, sales@example.com
# What the lists ask for
webmaster@example.net    anna@example.com
"""

SHAPES = (
    Shape(
        "Postfix's own how-to",
        _makes,
        {
            "info@example.com": "example.com/info",
            "sales@example.com": "example.com/sales/",
            "anna@example.com": "example.com/anna/",
            "who.ever@example.net": "example.net/everybody/",
        },
        {
            "sales+spring@example.com": ["sales+spring@example.com"],
            "postmaster@example.com": ["info@example.com"],
            "abuse@example.com": ["info@example.com", "sales@example.com"],
            "webmaster@example.net": ["anna@example.com"],
        },
        ["nobody@example.com"],
    ),
)
