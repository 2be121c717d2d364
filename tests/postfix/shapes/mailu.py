"""Mailu: every table is a question to one program, by socketmap:.

The delivery agent may not ask it, so there is no such installation without Dovecot.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site


def _makes(it: Site) -> None:
    it.set(
        podop="socketmap:unix:/tmp/podop.socket:",
        myorigin="$mydomain",
        mydomain="example.com",
        message_size_limit="50000000",
        mynetworks="127.0.0.1/32 [::1]/128 192.168.203.0/24",
        mydestination="",
        relayhost="",
        recipient_delimiter="+",
        virtual_alias_domains="",
        virtual_alias_maps="${podop}alias",
        virtual_mailbox_domains="${podop}domain",
        virtual_mailbox_maps="${podop}mailbox",
        relay_domains="${podop}transport",
        transport_maps=it.table("lmdb", "transport.map", "") + ", ${podop}transport",
        sender_canonical_maps="${podop}sendermap",
        sender_canonical_classes="envelope_sender",
        recipient_canonical_maps="${podop}recipientmap",
        recipient_canonical_classes="envelope_recipient,header_recipient",
        lmtp_host_lookup="native",
        smtpd_sender_login_maps="${podop}senderlogin",
        check_ratelimit="check_sasl_access ${podop}senderrate",
        smtpd_client_restrictions="\n  permit_mynetworks,"
        "\n  check_sender_access ${podop}senderaccess,\n  permit",
        smtp_tls_policy_maps=it.table("lmdb", "tls_policy.map", ""),
        smtp_tls_session_cache_database="lmdb:/dev/shm/postfix/smtp_scache",
        smtpd_milters="inet:antispam:11332",
        milter_mail_macros="i {mail_addr} {client_addr} {client_name} {auth_authen}",
    )
    it.services.append(
        "10025 unix n - n - - smtpd -o smtpd_sender_restrictions=$check_ratelimit"
    )


SHAPES = (Shape("Mailu", _makes, {}, {}, (), own_agent="lmtp:inet:imap:2525"),)
