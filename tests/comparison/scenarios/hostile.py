"""Addresses that nobody thought of: the same generated ones for both programs.

Nothing is written, so that hundreds of recipients cost little. The base is closed to
the recipients: what a program logs about each of them has the path, the uid and the
gid, and each of these says by which key it was found. A key that is not UTF-8 is logged
whenever it is looked up.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from postvirt.standin.instance import Instance
from tests.harness.hostile_addresses import addresses, some_keys
from tests.harness.raw_tables import write_lmdb
from tests.harness.scenario import Mail, Scenario, to

_RECIPIENTS = 120


def _tables(
    chance: random.Random, searched: list[bytes], *, utf8: bool
) -> Callable[[Instance], None]:
    """The three tables; a value is the number of its key."""
    boxes, uids, gids = (
        {
            key: form % number
            for number, key in enumerate(
                some_keys(chance, searched, share, utf8=utf8), 5000
            )
        }
        for form, share in ((b"k%d/", 0.3), (b"%d", 0.6), (b"%d", 0.6))
    )
    uids[b"@example.com"] = gids[b"@example.com"] = b"4999"

    def prepare(instance: Instance) -> None:
        for name, entries in (("boxes", boxes), ("uids", uids), ("gids", gids)):
            write_lmdb(instance.etc / name, entries)
        (instance.root / "closed").mkdir(0o755)

    return prepare


def _hostile(seed: int, latin_1: float = 0.1, **parameters: str) -> Scenario:
    chance = random.Random(seed)
    utf8 = parameters.get("smtputf8_enable") != "no"
    searched = addresses(chance, _RECIPIENTS, latin_1=latin_1)
    recipients = tuple(
        to(address, chance.choice((b"", address, address.lower(), searched[0])))
        for address in searched
    )
    return Scenario(
        name=f"hostile-addresses-{seed}",
        parameters={
            "virtual_mailbox_base": "@root@/closed",
            "virtual_mailbox_maps": "lmdb:@etc@/boxes",
            "virtual_uid_maps": "lmdb:@etc@/uids",
            "virtual_gid_maps": "lmdb:@etc@/gids",
            "mydestination": "dest.example",
            **parameters,
        },
        prepare=_tables(chance, searched, utf8=utf8),
        mails=(Mail(recipients=recipients, sender=searched[0]),),
    )


def _written(name: str, **parameters: str) -> Scenario:
    """Everybody's mail in one mbox file, which names all addresses."""
    chance = random.Random(name)
    mails = [
        Mail(
            sender=sender,
            content=b"",
            recipients=tuple(
                to(address, original)
                for address, original in zip(
                    addresses(chance, 5), addresses(chance, 5), strict=True
                )
            ),
        )
        for sender in addresses(chance, 10)
    ]
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_maps": "static:everybody", **parameters},
        mails=tuple(mails),
    )


SCENARIOS = (
    _hostile(1, recipient_delimiter="+"),
    _hostile(2, recipient_delimiter="+-"),
    _hostile(3, recipient_delimiter="-"),
    _hostile(4),
    _hostile(5, recipient_delimiter="-+", smtputf8_enable="no", latin_1=0.3),
    _hostile(6, recipient_delimiter="-", owner_request_special="no"),
    _hostile(7, recipient_delimiter="=@.", inet_protocols="all", inet_interfaces="all"),
    _hostile(8, recipient_delimiter="+-", latin_1=1.0),
    _hostile(9, recipient_delimiter="+-", latin_1=1.0, mydestination="static:all"),
    _written("hostile-addresses-written"),
    _written("hostile-addresses-written-without-smtputf8", smtputf8_enable="no"),
)
