"""Lines of the log: their names, their bytes, their length, where they go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from postvirt.model.request import MessageStats, Timestamp
from tests.harness.scenario import BOB, NOBODY, Mail, Recipient, Scenario, to

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
    to(b"\xf0\x9f\x92\xa9@example.com", b"\xed\xa0\x80@example.com"),
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
    _odd(
        "log-odd-addresses-internal-without-smtputf8",
        smtputf8_enable="no",
        info_log_address_format="internal",
    ),
    _odd("log-odd-addresses-soft-bounce", soft_bounce="yes"),
)

_ODD = "o\x01d\x1bd \x7f é € %s %n"
_ODD_BYTES = "o\x01d\udcff\udcc3d"


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
    _tables("log-odd-gid", gid=_ODD),
    _tables("log-uid-of-odd-bytes", uid=_ODD_BYTES),
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
                change=lambda request: replace(
                    request, nexthop=_ODD.encode(), recipients=()
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

_T = Timestamp(1_700_000_000, 0)
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
    _long("recipient", _address("x", 0)),
    _long("recipient-in-utf-8", _address("ä", 0), _address("ä", 1)),
    _long("recipient-of-wide-characters", *(_address("𝄞", n) for n in range(4))),
    _long("recipient-of-unprintable-bytes", to(b"\xff" * 2500 + b"@example.com")),
    _long(
        "recipient-without-smtputf8", _address("ä", 0), smtputf8_enable="no"
    ),
    # The limit falls on the last byte, before it and behind it.
    _long(
        "recipient-of-the-limit",
        *(to("b" * n + "@example.com") for n in range(937, 943)),
    ),
    Scenario(
        name="log-long-warning",
        parameters={"virtual_uid_maps": "static:" + "9" * 2500},
    ),
)


def _name(name: str, value: str, *options: str, **more: str) -> Scenario:
    """A value of syslog_name."""
    return Scenario(
        name=f"syslog-name-{name}",
        parameters={"syslog_name": value, **more},
        options=options,
    )


def _environment(name: str, parameters: Mapping[str, str], **variables: str) -> Scenario:
    """Variables of the environment that have to do with the log."""
    return Scenario(
        name=f"log-environment-{name}", parameters=parameters, environment=variables
    )


_BAD = {"virtual_minimum_uid": "abc"}

_PLACES = (
    _name("empty", ""),
    _name("with-blanks", "mx one"),
    _name("in-utf-8", "mäx"),
    _name("of-the-service", "postfix", "-o", "syslog_name=postfix/$service_name"),
    _name("of-the-instance", "", multi_instance_name="postfix-out"),
    _name("of-an-instance", "${multi_instance_name?{$multi_instance_name}:{postfix}}", multi_instance_name="postfix-out"),
    _environment("of-another-tag", {}, MAIL_LOGTAG="early"),
    _environment("of-another-tag-and-a-fatal-error", _BAD, MAIL_LOGTAG="early"),
    _environment("of-no-tag-and-a-fatal-error", _BAD, MAIL_LOGTAG=""),
    _environment("of-the-same-tag", {"syslog_name": "mx"}, MAIL_LOGTAG="mx"),
    _environment("of-another-host", {}, POSTLOG_HOSTNAME="early.example.org"),
    _environment("of-another-host-and-a-fatal-error", _BAD, POSTLOG_HOSTNAME="early"),
    _environment("of-no-host-and-a-fatal-error", _BAD, POSTLOG_HOSTNAME=""),
    _environment("of-another-service", {}, POSTLOG_SERVICE="@root@/nowhere"),
    _environment("of-no-service", {}, POSTLOG_SERVICE=""),
    Scenario(name="log-host-without-dot", parameters={"myhostname": "mail1", "mydomain": "example.org"}),
    Scenario(name="maillog-file-elsewhere", parameters={"maillog_file": "/etc/maillog"}),
    Scenario(name="maillog-file-prefixes", parameters={"maillog_file_prefixes": "/var, /opt @root@/mail"}),
    Scenario(name="maillog-service-of-another-name", parameters={"postlog_service_name": "nowhere"}),
    Scenario(name="syslog-facility-unknown", parameters={"syslog_facility": "postal"}),
    Scenario(name="syslog-facility-in-capitals", parameters={"syslog_facility": "MAIL"}),
    Scenario(name="syslog-facility-empty", parameters={"syslog_facility": ""}),
    Scenario(name="delay-limit-too-large", parameters={"delay_logging_resolution_limit": "7"}),
    Scenario(name="delay-limit-negative", parameters={"delay_logging_resolution_limit": "-1"}),
    Scenario(name="delay-limit-is-no-number", parameters={"delay_logging_resolution_limit": "two"}),
    Scenario(name="too-many-errors", parameters={"virtual_mailbox_maps": " ".join(f"texthash:@etc@/t{n}" for n in range(14))}),
    Scenario(name="table-errors-are-fatal", parameters={"virtual_mailbox_maps": "texthash:@etc@/nothing", "daemon_table_open_error_is_fatal": "yes"}),
    Scenario(name="fast-flush-of-the-old-default", parameters={"compatibility_level": "1", "mydestination": "example.com"}, mails=(Mail(recipients=(to("dave@example.com"),)),), tables={}, mailboxes={"dave@example.com": "d"} ) ,
)

SCENARIOS = (*_ADDRESSES, *_FIELDS, *_LONG, *_PLACES)
