"""Lines of the log: their names, their bytes, their length, where they go."""

from __future__ import annotations

import os
from collections.abc import Mapping

from postvirt.model.request import MessageStats, Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import QueueFile
from tests.comparison.scenarios.expectations import (
    REPLY_DONE,
    configuration_error,
    configuration_error_log,
    log,
)
from tests.harness.scenario import (
    BOB,
    MAILBOXES,
    NOBODY,
    Mail,
    Scenario,
    to,
)
from tests.harness.times import moment

_ODD_ADDRESSES = (
    to("bob@example.com", "Bob@EXAMPLE.com"),
    to("bob@example.com", "BÖB@example.com"),
    to("b ob@example.com", "B OB@example.com"),
    to("two..dots@example.com", ".dot@example.com"),
    to("a@b@example.com", "a@b"),
    to('quote"d@example.com', "back\\slash@example.com"),
    to("<bob>@example.com", "(bob)@example.com"),
    to("tab\tand\x7f@example.com", "es\x1b[31mcape@example.com"),
    to("new\nline@example.com", "return\rcar@example.com"),
    to("jörg@exämple.com", "JÖRG@EXÄMPLE.com"),
    to("strasse@example.com", "STRASSE@example.com"),
    to("straße@example.com", "strasse@example.com"),
    to("jörg@example.com".encode("latin-1"), "jörg@example.com"),
    to(b"cut\xc3@example.com", b"\x80cut@example.com"),
    to(b"\xf0\x9f\x92\xa9@example.com", b"half@example.com"),
    to("percent%s%n@example.com", "$dollar@example.com"),
    to("bob", "bob@"),
    to("@example.com", "@"),
    to("", "gone@example.com"),
    to('"quoted"@example.com', '"quoted already"@example.com'),
)


def _odd(name: str, **parameters: str) -> Scenario:
    """Every odd address, delivered, unknown and without owner."""
    third = len(_ODD_ADDRESSES) // 3
    return Scenario(
        name=name,
        mailboxes={},
        parameters={
            "virtual_mailbox_maps": "pcre:{{/[a-m]/ all}, {/[n-q]/ nobodys}}",
            "virtual_uid_maps": "pcre:{{/[a-m]/ 5000}}",
            **parameters,
        },
        mails=tuple(
            Mail(recipients=_ODD_ADDRESSES[start : start + third])
            for start in range(0, len(_ODD_ADDRESSES), third)
        ),
    )


_ADDRESSES = (
    _odd("log-odd-addresses"),
    _odd("log-odd-addresses-internal", info_log_address_format="internal"),
    _odd("log-odd-addresses-without-smtputf8", smtputf8_enable="no"),
)

_ODD = "o\x01d\x1bd \x7f é € %s %n"


def _parameters(name: str, **parameters: str) -> Scenario:
    """Any other parameters."""
    return Scenario(name=name, parameters=parameters)


def _tables(name: str, **entries: str) -> Scenario:
    """What tables say, in warnings and reasons."""
    return Scenario(
        name=name,
        parameters={
            f"virtual_{which}_maps": f"texthash:@etc@/{which}" for which in entries
        },
        tables={
            f"texthash:{which}": {"bob@example.com": value}
            for which, value in entries.items()
        },
    )


_FIELDS = (
    _tables("log-odd-uid", uid=_ODD),
    _parameters("log-result-of-odd-bytes", virtual_uid_maps="static:50\udcff\x01"),
    Scenario(
        name="log-odd-mailbox",
        mailboxes={"bob@example.com": _ODD + "/x"},
        parameters={"virtual_mailbox_lock": "fcntl"},
        prepare=lambda instance: instance.mail.chmod(0o500),
    ),
    Scenario(
        name="log-odd-requests",
        mails=(
            Mail(
                change=lambda request: request._replace(
                    nexthop=_ODD.encode(), recipients=()
                )
            ),
            Mail(edit=lambda data: data.replace(b"nexthop\0", b"next\x01\xffhop\0")),
            Mail(edit=lambda data: data.replace(b"flags\x003", b"flags\0\x1b\xc3\xa9")),
            Mail(),
        ),
    ),
    Scenario(
        name="log-odd-service-name",
        service="b\u00f6xe%s.2",
        mails=(Mail(recipients=(BOB, NOBODY)),),
    ),
    Scenario(
        name="log-odd-service-name-without-smtputf8",
        service="b\u00f6xe%s.2",
        parameters={"smtputf8_enable": "no"},
        mails=(Mail(recipients=(BOB, NOBODY)),),
    ),
)

_T = moment(1_700_000_000, 0)
# No delays: they are of one length in both logs.
_AT_ONCE = MessageStats(_T, _T, _T, _T, _T)


def _long(name: str, *recipients: Recipient, **parameters: str) -> Scenario:
    """Lines longer than the limit of 2,000 bytes."""
    return Scenario(
        name=f"log-long-{name}",
        parameters=parameters,
        delays=True,
        mails=(Mail(recipients=recipients, stats=_AT_ONCE),),
    )


def _address(character: str, before: int) -> Recipient:
    """An address whose long name has so many bytes before the long part."""
    return to("a" * before + character * 2000 + "@example.com")


_LONG = (
    _long(
        "recipients",
        *(_address(one, before) for one in "xä𝄞" for before in range(4)),
        to(b"\xff" * 2500 + b"@example.com"),
        # The limit falls on the last byte, before it and behind it.
        *(to("b" * size + "@example.com") for size in range(937, 943)),
    ),
    _long("recipients-without-smtputf8", _address("ä", 0), smtputf8_enable="no"),
    Scenario(
        name="log-long-warning",
        parameters={"virtual_uid_maps": "static:" + "x" * 2500},
    ),
)


def _name(name: str, value: str, *options: str, **more: str) -> Scenario:
    """A value of syslog_name."""
    return Scenario(
        name=f"syslog-name-{name}",
        parameters={"syslog_name": value, **more},
        options=options,
    )


def _environment(
    name: str, parameters: Mapping[str, str], **variables: str
) -> Scenario:
    """Variables of the environment that have to do with the log."""
    return Scenario(
        name=f"log-environment-{name}", parameters=parameters, environment=variables
    )


_OTHERS = {
    "MAIL_LOGTAG": "early",
    "POSTLOG_HOSTNAME": "early.example.org",
    "POSTLOG_SERVICE": "@root@/nowhere",
}

_PLACES = (
    _name("in-utf-8", "m\u00e4x"),
    _name("of-the-service", "postfix", "-o", "syslog_name=postfix/$service_name"),
    _name(
        "of-the-instance",
        "${multi_instance_name?{$multi_instance_name}:{postfix}}",
        multi_instance_name="postfix-out",
    ),
    _environment("of-other-places", {}, **_OTHERS),
    _environment("of-no-service", {}, POSTLOG_SERVICE=""),
    _parameters("log-host-without-dot", myhostname="mail1", mydomain="example.org"),
    _parameters("maillog-service-that-is-down", postlog_service_name="nowhere"),
    _parameters(
        "table-errors-in-a-union-are-fatal",
        daemon_table_open_error_is_fatal="yes",
        virtual_uid_maps="unionmap:{static:5000, hash:@etc@/nothing}",
    ),
)

_TABLES = [f"texthash:/ROOT/etc/t{number}" for number in range(14)]
_NO_FILES = [
    f"open database /ROOT/etc/t{number}: No such file or directory"
    for number in range(14)
]
_DEFERRED = (
    "3F1A2B4C50: to=<bob@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
    "dsn=4.3.5, status=deferred (mail system configuration error)"
)


def _add_past_table(instance: Instance) -> None:
    instance.add_table("hash", "boxes", MAILBOXES)
    os.utime(instance.etc / "boxes.db", (1_000_000_000, 1_000_000_000))


def _change_table(instance: Instance, queued: QueueFile) -> None:
    instance.add_table("hash", "boxes", MAILBOXES)


_DIFFERENT = (
    Scenario(
        name="log-changed-table",
        parameters={"virtual_mailbox_maps": "hash:@etc@/boxes"},
        prepare=_add_past_table,
        mails=(Mail(recipients=(NOBODY,)), Mail(before=_change_table)),
        differs="Workers",
        expected={"processes": ("reports 0 1; exit 0",)},
    ),
    Scenario(
        name="too-many-errors",
        parameters={
            "virtual_mailbox_maps": " ".join(_TABLES).replace("/ROOT/etc", "@etc@")
        },
        differs="Tables that cannot be opened",
        expected={
            **configuration_error(),
            "log": (
                *(log(f"error: {no_file}") for no_file in _NO_FILES),
                *configuration_error_log(
                    f"{_TABLES[0]} is unavailable. {_NO_FILES[0]}",
                    f'{_TABLES[0]} lookup error for "bob@example.com"',
                    "table virtual_mailbox_maps: lookup bob@example.com: "
                    f"{_TABLES[0]} is unavailable. {_NO_FILES[0]}",
                ),
            ),
            "processes": ("reports 0 1; exit 0",),
        },
    ),
    Scenario(
        name="delay-limit-negative",
        parameters={"delay_logging_resolution_limit": "-1"},
        delays=True,
        mails=(Mail(stats=_AT_ONCE),),
        differs="Negative resolution of delays",
        expected={
            "replies": (REPLY_DONE,),
            "queue": ("3F1A2B4C50 -rwx------", "  179: b'R' -> b'D'"),
            "log": (
                log(
                    "3F1A2B4C50: to=<bob@example.com>, relay=virtual, delay=0, "
                    "delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)"
                ),
            ),
            "processes": ("reports 0 1; exit 0",),
        },
    ),
    Scenario(
        name="fast-flush-of-the-old-default",
        parameters={
            "compatibility_level": "1",
            "mydestination": "example.com",
            "virtual_uid_maps": "",
        },
        differs="List of fast flush",
        expected={
            "log": (
                log(
                    "warning: recipient bob@example.com: not found in virtual_uid_maps"
                ),
                log(_DEFERRED),
            )
        },
    ),
)

SCENARIOS = (*_ADDRESSES, *_FIELDS, *_LONG, *_PLACES, *_DIFFERENT)
