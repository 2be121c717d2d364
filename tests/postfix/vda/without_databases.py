"""Text files, a directory, and what the newest versions of the patch added."""

from __future__ import annotations

from tests.harness.directory import Slapd
from tests.harness.patched import (
    BOUNCES,
    DEFAULT_LIMIT,
    DEFERS,
    SORRY,
    Box,
    Patched,
    maildirs,
)
from tests.harness.shapes import Site

_QUOTED = '"The user you are trying to reach is over quota."'
_MAILBOXES = """\
bob@example.com example.com/bob/
ann@example.com example.com/ann/
joe@example.net example.net/joe/
"""


def _files(it: Site) -> None:
    maildirs(it, "example.com", "example.net")
    it.set(virtual_mailbox_maps=it.table("hash", "vmailbox", _MAILBOXES))


def _domain_wide(it: Site) -> None:
    _files(it)
    limits = """\
        # the mailbox that is larger, then all others of a domain
        bob@example.com 20480000
        @example.com 12000000
    """
    it.set(
        virtual_create_maildirsize="yes",
        virtual_maildir_extended="yes",
        virtual_mailbox_limit_maps=it.table(
            "hash", "vmailbox_limit_maps", limits.replace("        ", "")
        ),
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message=_QUOTED,
        virtual_overquota_bounce="yes",
    )


def _two_switches(it: Site) -> None:
    """As guides for Dovecot's deliver have it: without limits of its own."""
    _files(it)
    it.set(virtual_create_maildirsize="yes", virtual_maildir_extended="yes")


def _suffix(it: Site) -> None:
    """The mailbox tables return homes, as Courier's authentication needs them."""
    _files(it)
    it.set(
        virtual_maildir_suffix="Maildir/",
        virtual_maildir_extended="yes",
        virtual_mailbox_limit="30000000",
        virtual_mailbox_limit_maps=it.table("hash", "limits", "bob@example.com 0\n"),
    )


def _texts(it: Site) -> None:
    _files(it)
    it.set(
        virtual_maildir_extended="yes",
        virtual_mailbox_limit="30000000",
        virtual_mailbox_limit_override="yes",
        virtual_mailbox_limit_maps=it.table(
            "btree", "quota", "ann@example.com 1000000\n"
        ),
        virtual_maildir_limit_message="The mailbox is full.",
        virtual_maildir_limit_message_maps=it.table(
            "hash",
            "quota_texts",
            "@example.com 100%% of this mailbox is used: write to ann@example.net.\n",
        ),
    )


def _mbox(it: Site) -> None:
    maildirs(it)
    it.set(
        virtual_mailbox_maps=it.table("hash", "vmailbox", "bob@example.com bob\n"),
        virtual_mailbox_limit="20000000",
        virtual_mailbox_limit_maps=it.table(
            "hash", "quota", "bob@example.com 40000000\n"
        ),
    )


def _ldap(it: Site) -> None:
    assert isinstance(it.server, Slapd)
    it.host(
        {
            f"uid={name},{it.top}": {
                "objectClass": ["inetOrgPerson", "mailUser"],
                "sn": [name],
                "cn": [name],
                "mail": [f"{name}@example.com"],
                "mailMessageStore": [f"example.com/{name}/"],
                **({"mailQuota": [quota]} if quota else {}),
            }
            for name, quota in {
                "bob": "10485760S",
                "ann": "10485760",
                "joe": "",
            }.items()
        }
    )
    maildirs(it)

    def table(name: str, attribute: str) -> str:
        return it.search(
            f"ldap/virtual_mailbox_{name}.cf",
            search_base=it.top,
            query_filter="(&(objectClass=mailUser)(mail=%s))",
            result_attribute=attribute,
        )

    it.set(
        virtual_mailbox_maps=table("maps", "mailMessageStore"),
        virtual_mailbox_limit_maps=f"proxy:{table('limits', 'mailQuota')}",
        proxy_read_maps="$virtual_mailbox_limit_maps",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_extended="yes",
        virtual_overquota_bounce="yes",
    )


CONFIGURATIONS = (
    Patched(
        "a limit for a domain",
        _domain_wide,
        (
            Box("bob@example.com", "example.com/bob/", 20_480_000),
            Box("ann@example.com", "example.com/ann/", 12_000_000),
            Box("joe@example.net", "example.net/joe/", DEFAULT_LIMIT),
        ),
        BOUNCES,
        _QUOTED,
        has_sizes=True,
    ),
    Patched(
        "two switches and no limits",
        _two_switches,
        (Box("bob@example.com", "example.com/bob/", DEFAULT_LIMIT),),
        DEFERS,
        SORRY,
        has_sizes=True,
        problems={"PV424": "warning"},
    ),
    Patched(
        "a suffix",
        _suffix,
        (
            Box("bob@example.com", "example.com/bob/Maildir/", 0),
            Box("ann@example.com", "example.com/ann/Maildir/", 30_000_000),
        ),
        DEFERS,
        SORRY,
        has_sizes=True,
    ),
    Patched(
        "texts for recipients",
        _texts,
        (Box("ann@example.com", "example.com/ann/", 1_000_000),),
        DEFERS,
        "100%% of this mailbox is used: write to ann@example.net.",
        has_sizes=True,
    ),
    Patched(
        "an mbox file",
        _mbox,
        (Box("bob@example.com", "bob", 40_000_000),),
        DEFERS,
        SORRY,
        keeps_count=False,
    ),
    Patched(
        "quotas in a directory",
        _ldap,
        (
            Box("bob@example.com", "example.com/bob/", 10_485_760),
            Box("ann@example.com", "example.com/ann/", 10_485_760),
            Box("joe@example.com", "example.com/joe/", DEFAULT_LIMIT),
        ),
        BOUNCES,
        SORRY,
        has_sizes=True,
        server="slapd",
    ),
)
