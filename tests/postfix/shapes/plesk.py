"""Plesk: one table is the list of mailboxes and a list of domains, too.

The mailboxes belong to a system account with a small number.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site


def _makes(it: Site) -> None:
    it.set(
        virtual_mailbox_domains="$virtual_mailbox_maps, "
        + it.table("hash", "virtual_domains", "example.com _\nexample.net _\n"),
        virtual_alias_maps="$virtual_maps, " + it.table("hash", "virtual", _VIRTUAL),
        virtual_mailbox_maps=", " + it.table("hash", "vmailbox", _VMAILBOX),
        transport_maps=", " + it.table("hash", "transport", ""),
        virtual_mailbox_base=str(it.mail),
        virtual_uid_maps="static:130",
        virtual_gid_maps="static:131",
        virtual_minimum_uid="30",
        virtual_mailbox_limit="0",
        mailbox_size_limit="0",
        message_size_limit="10240000",
        plesk_virtual_destination_recipient_limit="1",
        mailman_destination_recipient_limit="1",
        sender_dependent_default_transport_maps=it.table("hash", "sdd_transport", ""),
        smtpd_milters=", inet:127.0.0.1:12768",
        non_smtpd_milters="",
        mydestination="localhost.$mydomain, localhost, localhost.localdomain",
        mynetworks="127.0.0.0/8 [::1]/128",
        alias_maps=it.table("hash", "aliases", ""),
        recipient_canonical_classes="envelope_recipient,header_recipient",
        recipient_delimiter="+",
        smtpd_timeout="3600s",
        disable_vrfy_command="yes",
        authorized_flush_users="",
        authorized_mailq_users="",
    )
    it.services += [
        "plesk_virtual unix - n n - - pipe flags=DORhu user=nobody argv=/bin/true",
        "mailman unix - n n - - pipe flags=R user=nobody argv=/bin/true ${nexthop}",
    ]
    it.directory("example.com", owner=(0, 0))
    it.directory("example.net", owner=(0, 0))
    for folder in ("example.com/bob", "example.com/ann", "example.net/joe"):
        it.directory(folder, owner=(130, 131))


_VMAILBOX = """\
bob@example.com example.com/bob/Maildir/
ann@example.com example.com/ann/Maildir/
joe@example.net example.net/joe/Maildir/
"""
_VIRTUAL = """\
sales@example.com bob@example.com, ann@example.com
@example.net joe@example.net
joe@example.net joe@example.net
"""

SHAPES = (
    Shape(
        "Plesk",
        _makes,
        {
            "bob@example.com": "example.com/bob/Maildir/",
            "ann@example.com": "example.com/ann/Maildir/",
            "joe@example.net": "example.net/joe/Maildir/",
        },
        {
            "sales@example.com": ["bob@example.com", "ann@example.com"],
            "bob+lists@example.com": ["bob+lists@example.com"],
            "who.ever@example.net": ["joe@example.net"],
        },
        ["nobody@example.com"],
        owner=lambda _: (130, 131),
        own_agent="plesk_virtual",
    ),
)
