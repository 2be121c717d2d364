"""Local tables of every kind, and mbox files below a directory as /var/mail is.

The directory is the group's, which may write locks there, and files have its group.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_MAIL = 8  # the group, as Debian numbers it


def _makes(it: Site) -> None:
    it.directory("spool", owner=(0, _MAIL), mode=0o2775)
    it.set(
        mydestination="",
        virtual_mailbox_base=f"{it.mail}/spool",
        virtual_mailbox_domains=it.table("cdb", "domains", "example.com x\n")
        + " inline:{ example.net=x }",
        virtual_mailbox_maps=", ".join(
            (
                it.table("lmdb", "people", _PEOPLE),
                it.table("regexp", "offices", _OFFICES),
                it.table("pcre", "rest", _REST),
            )
        ),
        virtual_alias_maps="unionmap:{"
        + it.table("cdb", "aliases", "all@example.com bob\n@example.net @example.net\n")
        + ", pipemap:{inline:{all@example.com=2}, inline:{2=ann@example.com}}}",
        virtual_uid_maps=it.table("texthash", "uids", "bob@example.com 5001\n")
        + ", "
        + it.table("lmdb", "more-uids", "@example.com 5000\n@example.net 5000\n"),
        virtual_gid_maps=f"static:{_MAIL}",
        virtual_mailbox_lock="fcntl, dotlock",
        virtual_mailbox_limit="100000000",
        myorigin="example.com",
        append_dot_mydomain="no",
        recipient_delimiter="+-",
    )


_PEOPLE = """\
bob@example.com bob
ann@example.com ann
"""
_OFFICES = """\
/^(info|sales|post-?master)@example\\.com$/ office
"""
_REST = """\
if /@example\\.net$/
/^abuse@/ abuse
/^/ all
endif
"""

SHAPES = (
    Shape(
        "local tables and mbox files",
        _makes,
        {
            "bob@example.com": "spool/bob",
            "ann@example.com": "spool/ann",
            "info@example.com": "spool/office",
            "abuse@example.net": "spool/abuse",
        },
        {
            "all@example.com": ["bob@example.com", "ann@example.com"],
            "sales@example.com": ["sales@example.com"],
            "post-master@example.com": ["post-master@example.com"],
            "bob-lists@example.com": ["bob-lists@example.com"],
            "who.ever@example.net": ["who.ever@example.net"],
        },
        ["nobody@example.com"],
        owner=lambda address: (5001 if address.startswith("bob") else 5000, _MAIL),
    ),
)
