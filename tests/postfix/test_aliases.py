"""What aliases make of an address: the same as in cleanup(8)."""

from __future__ import annotations

import re

import pytest

from postvirt.codec.quoting import quote_local
from postvirt.config.load import load
from postvirt.delivery.table_setup import open_resolver
from postvirt.routing.aliases import AliasMaps
from postvirt.standin.instance import Instance
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener
from tests.postfix.conftest import StartPostfix

pytestmark = [pytest.mark.root, pytest.mark.postfix]

ALIASES = {
    "plain@example.com": "bob@example.com",
    "itself@example.com": "itself@example.com, x@example.net",
    "chain@example.com": "link1@example.com",
    "link1@example.com": "link2@example.com ann@example.net",
    "link2@example.com": "itself@example.com",
    "spaces@example.com": "a@example.net  b@example.net,c@example.net",
    "bare@example.com": "root",
    "short@example.com": "user@host",
    "quoted@example.com": '"two words"@example.net',
    "named@example.com": "Some Body <body@example.net>, <other@example.net>",
    "again@example.com": "A@example.net, a@example.net",
    "local": "found@example.net",
    "@example.org": "bob@example.org",
    "@example.edu": "@example.net",
}
ADDRESSES = [
    "plain@example.com",
    "Plain@Example.COM",
    "plain+ext@example.com",
    "itself@example.com",
    "itself+ext@example.com",
    "chain@example.com",
    "spaces@example.com",
    "bare@example.com",
    "short@example.com",
    "quoted@example.com",
    "named@example.com",
    "again@example.com",
    "local@mail.example.org",
    "local+ext@mail.example.org",
    "alice@example.org",
    "bob@example.org",
    "alice+ext@example.org",
    "alice@example.edu",
    "alice+ext@example.edu",
    "nothing@example.com",
]


def test_the_recipients_are_those_of_cleanup(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    aliases = instance.add_table("hash", "aliases", ALIASES)
    postfix = start_postfix(
        {"nobody@example.invalid": "nobody"},
        virtual_alias_maps=aliases,
        virtual_transport="discard:",
        local_transport="discard:",
        mydestination="mail.example.org",
        append_dot_mydomain="yes",
        mydomain="example.org",
        append_at_myorigin="yes",
    )
    for number, address in enumerate(ADDRESSES):
        postfix.send(f"s{number}@example.net", [address], b"Subject: x\n\nx\n")
    postfix.wait_until_queue_is_empty()
    log = postfix.log_text()
    loaded = load(str(instance.etc), process_name="virtual", service_name="virtual")
    opened = OpenTables(TableOpener.of(loaded.settings, loaded.texts))
    resolver = open_resolver(loaded.settings, opened)
    maps = AliasMaps(loaded.settings, loaded.texts, opened, resolver.is_local_domain)
    for number, address in enumerate(ADDRESSES):
        (queue_id,) = re.findall(rf"qmgr\[\d+\]: (\w+): from=<s{number}@", log)
        theirs = re.findall(rf" {queue_id}: to=<([^>]*)>", log)
        found = maps.expand(address.encode()).recipients
        ours = [quote_local(one).decode() for one in found]
        assert sorted(ours) == sorted(theirs), address
    opened.close()
