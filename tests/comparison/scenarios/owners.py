"""Whose mailbox it is: uid and gid in every form, missing entries, lookup errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import (
    configuration_errors,
)
from tests.harness.raw_tables import write_lmdb
from tests.harness.scenario import BOB, MBOX, Mail, Scenario, to

# Both programs agree about these, good or bad.
_PLAIN = (
    *(b"5000", b" 5000", b"\t5000", b"\n\v\f\r 5000", b"+5000", b" +5000", b"0005000"),
    *(b"0" * 30 + b"5000", b"+" + b"0" * 5000 + b"7", b"100", b"99", b"1", b"0", b"-0"),
    *(b"-1", b"-5000", b"-4294962296", b"-4294967295"),
    *(b"x5000", b"vmail", b" ", b"+", b"-", b"+-5000", b"-+5000", b"++5000", b"+ 5000"),
    *(b"0x1388", b"0x", b"'5000'", b"\xc2\xa05000", b"\xd9\xa5000", b"\xef\xbc\x95000"),
    *(b"2147483647", b"2147483648", b"4294967294", b".5", b"", b"5000\xff"),
)
# Postfix 3.7 misreads these. 4294967295 and what is larger than a long would end the
# process, and newer versions misread what is less than a long;
# tests/delivery/test_resolve.py has those.
_MISREAD = (
    *(b"5000 ", b"5000\n", b"5000x", b"5000 users", b"5000,", b"5000:5000", b"5000.5"),
    *(b"5_000", b"50 00", b"5e3", b"5000-", b"1.0", b"1e9", b"5000\xc2\xa0", b"100x"),
    *(b"0005000x", b"5000\n5000", b"4294967296", b"4294967297", b"4294972296"),
)


def _address(number: int) -> bytes:
    return b"n%d@example.com" % number


def _table(name: str, values: Sequence[bytes]) -> Callable[[Instance], None]:
    """A table with a value for each of n0, n1 and so on, and a folder for nobody."""

    def prepare(instance: Instance) -> None:
        entries = {_address(number): value for number, value in enumerate(values)}
        write_lmdb(instance.etc / name, entries)
        (instance.root / "closed").mkdir(0o755)

    return prepare


def _numbers(name: str, which: str, values: Sequence[bytes]) -> Scenario:
    """A recipient for each value; nothing is written, but the log has uid and gid."""
    return Scenario(
        name=name,
        prepare=_table("numbers", values),
        parameters={
            "virtual_mailbox_base": "@root@/closed",
            "virtual_mailbox_maps": "static:box/",
            f"virtual_{which}_maps": "lmdb:@etc@/numbers",
        },
        mails=(Mail(recipients=tuple(to(_address(n)) for n in range(len(values)))),),
    )


def _strict(name: str, which: str, values: Sequence[bytes]) -> Scenario:
    """As _numbers, for what is no number in Postfix 3.12."""
    plain = _numbers(name, which, values)
    return replace(
        plain,
        differs="Strict uid and gid",
        expected=configuration_errors(
            plain.mails[0],
            [
                f"recipient n{number}@example.com: bad {which} {_shown(value)} in "
                f"virtual_{which}_maps"
                for number, value in enumerate(values)
            ],
        ),
    )


def _shown(value: bytes) -> str:
    return value.decode().replace("\n", "?")


_FORMS = (
    _numbers("uid-in-every-form", "uid", _PLAIN),
    _numbers("gid-in-every-form", "gid", _PLAIN),
    _strict("uid-misread", "uid", _MISREAD),
    _strict("gid-misread", "gid", _MISREAD),
)


def _maps(name: str, *addresses: str, **parameters: str) -> Scenario:
    """A maildir for everybody, uid and gid as given."""
    recipients = tuple(map(to, addresses)) or (BOB, MBOX)
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_maps": "static:box/", **parameters},
        mails=(Mail(recipients=recipients),),
    )


_MINIMUM = (
    _maps("minimum-uid-just-above", virtual_minimum_uid="5001"),
    _maps("minimum-uid-one", virtual_minimum_uid="1", virtual_uid_maps="static:0"),
    _maps("minimum-uid-with-blanks", virtual_minimum_uid=" +0200 "),
)

_SEARCHED = "inline:{bob@example.com=5000, @example.net=5000, own=5000, list=5000}"
_EVERY_KEY = (
    *("bob@example.com", "Bob+x@Example.com", "other@example.com", "any@example.net"),
    *("own@mail.example.org", "own+x@mail.example.org", "own", "own@example.com"),
)
_MISSING = "texthash:@etc@/nothing"

_LOOKUPS = (
    _maps(
        "uid-by-every-key",
        *_EVERY_KEY,
        virtual_uid_maps=_SEARCHED,
        recipient_delimiter="+",
    ),
    _maps(
        "gid-by-every-key",
        *_EVERY_KEY,
        virtual_gid_maps=_SEARCHED,
        recipient_delimiter="+",
    ),
    _maps("uid-map-missing", virtual_uid_maps=_MISSING),
    _maps("gid-map-missing", virtual_gid_maps=_MISSING),
    _maps(
        "uid-map-missing-behind-one-that-answers",
        virtual_uid_maps=f"inline:{{bob@example.com=5000}} {_MISSING}",
    ),
    _maps(
        "uid-map-missing-before-one-that-answers",
        virtual_uid_maps=f"{_MISSING} static:5000",
    ),
    _maps(
        "uid-bad-before-gid-bad",
        virtual_uid_maps="static:1",
        virtual_gid_maps="static:0",
    ),
    _maps(
        "uid-by-substitution",
        virtual_uid_maps=r"regexp:{{/^(b)ob@/ 500$$1} {/^mbox@/ 5000}}",
    ),
    _maps("uid-through-proxy", virtual_uid_maps="proxy:static:5000"),
    _maps("uid-from-tcp", virtual_uid_maps="tcp:127.0.0.1:1"),
    _maps(
        "uid-of-several-tables", virtual_uid_maps="inline:{x@y=1}, static:5000 static:0"
    ),
    Scenario(
        name="unknown-user-whose-uid-is-bad",
        parameters={"virtual_uid_maps": "static:none", "virtual_gid_maps": _MISSING},
        mails=(Mail(recipients=(to("nobody@example.com"), BOB)),),
    ),
)


_GROUPS = {5001: 5009, 5002: 5001, 5003: 5000}
_KINDS = {
    "maildir": "maildir{}/",
    "mbox": "mbox{}",
    "shared": "shared/",
    "file": "file",
}
_OWNERS = {f"{kind}{uid}@example.com": uid for kind in _KINDS for uid in _GROUPS}


def _several(name: str, mode: int) -> Scenario:
    """Mailboxes of their own and two that they share, in a folder of this mode."""
    paths = [path.format(uid) for path in _KINDS.values() for uid in _GROUPS]
    uids = ", ".join(f"{one}={uid}" for one, uid in _OWNERS.items())
    gids = ", ".join(f"{one}={_GROUPS[uid]}" for one, uid in _OWNERS.items())
    return Scenario(
        name=name,
        mailboxes=dict(zip(_OWNERS, paths, strict=True)),
        prepare=lambda instance: instance.mail.chmod(mode),
        parameters={
            "virtual_uid_maps": f"inline:{{{uids}}}",
            "virtual_gid_maps": f"inline:{{{gids}}}",
        },
        mails=(Mail(recipients=tuple(map(to, _OWNERS)), content=b""),),
    )


_SEVERAL = (
    _several("several-owners", 0o1777),
    _several("several-owners-and-a-group-handed-down", 0o3777),
)

SCENARIOS = (*_FORMS, *_MINIMUM, *_LOOKUPS, *_SEVERAL)
