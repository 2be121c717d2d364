"""The delivery request protocol: every byte, every attribute, every bad value.

After each bad client comes a good one, and every scenario compares the processes that
were started: the good one is served by the process that met the bad one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from postvirt.codec.attributes import Kind
from postvirt.codec.delivery import RECIPIENT_FIELDS, REQUEST_FIELDS
from postvirt.model.request import DeliveryRequest, RequestFlag
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import QueueFile
from postvirt.standin.services import split_request
from tests.comparison.scenarios.expectations import (
    REPLY_DEFERRED,
    REPLY_DONE,
    log,
    refused_then_delivered,
    sent,
)
from tests.harness.scenario import BOB, MBOX, NOBODY, NORMAL, Mail, Scenario

# One list of attributes for the message, one for each recipient; names and values.
Lists = list[list[bytes]]
Edit = Callable[[bytes], bytes]

_FIELDS = [
    (number, index, field)
    for number, fields in enumerate((REQUEST_FIELDS.all, RECIPIENT_FIELDS.all))
    for index, field in enumerate(fields)
]
# One process serves them all.
_ONE_PROCESS = {"max_use": "1000000"}


def _good() -> Mail:
    """A client that every process can serve; nothing is written for it."""
    return Mail(recipients=(NOBODY,))


def _bad(name: str, edits: Iterable[Edit], **more: object) -> Scenario:
    """Each of these requests, and a good one after each."""
    mails: list[Mail] = []
    for edit in edits:
        mails += (Mail(edit=edit, hang_up=True), _good())
    return Scenario(name=name, parameters=_ONE_PROCESS, mails=tuple(mails), **more)  # type: ignore[arg-type]


def _split(data: bytes) -> Lists:
    lists: Lists = []
    while found := split_request(data):
        strings, end = found
        lists.append(list(strings))
        data = data[end:]
    return lists


def _join(lists: Lists) -> bytes:
    return b"".join(b"\0".join([*strings, b"", b""]) for strings in lists)


def _everywhere(change: Callable[[list[bytes], int], None]) -> Iterator[Edit]:
    """One edit for each attribute: `change` gets its list and where its name is."""

    def at(number: int, index: int) -> Edit:
        def edit(data: bytes) -> bytes:
            lists = _split(data)
            assert _join(lists) == data
            change(lists[number], 2 * index)
            return _join(lists)

        return edit

    for number, index, field in _FIELDS:
        if field.kind is not Kind.DATA:  # see _AFTER_TIME
            yield at(number, index)


def _rename(strings: list[bytes], at: int) -> None:
    strings[at] += b"x"


def _change_case(strings: list[bytes], at: int) -> None:
    strings[at] = strings[at].upper()


def _omit_name(strings: list[bytes], at: int) -> None:
    strings[at] = b""


def _omit(strings: list[bytes], at: int) -> None:
    del strings[at : at + 2]


def _omit_value(strings: list[bytes], at: int) -> None:
    del strings[at + 1]


def _insert(strings: list[bytes], at: int) -> None:
    strings[at:at] = (b"extra", b"value")


def _end(strings: list[bytes], at: int) -> None:
    del strings[at:]


def _swap(strings: list[bytes], at: int) -> None:
    behind = (at + 2) % len(strings)
    one, other = strings[at : at + 2], strings[behind : behind + 2]
    strings[at : at + 2], strings[behind : behind + 2] = other, one


def _cut(length: int) -> Edit:
    return lambda data: data[:length]


def _set(number: int, index: int, value: bytes) -> Edit:
    """Another value for one attribute."""

    def edit(data: bytes) -> bytes:
        lists = _split(data)
        lists[number][2 * index + 1] = value
        return _join(lists)

    return edit


def _every_number(*values: bytes) -> Iterator[Edit]:
    """One edit for each number of a request and each of these values."""
    for number, index, field in _FIELDS:
        if field.kind in (Kind.INTEGER, Kind.LONG):
            yield from (_set(number, index, value) for value in values)


def _one_field(name: bytes, *values: bytes) -> Iterator[Edit]:
    """One edit for each of these values of an attribute of the message."""
    names = [field.name for field in REQUEST_FIELDS.all]
    return (_set(0, names.index(name), value) for value in values)


def _changed(
    name: str, changes: Sequence[Mapping[str, object]], *, of_recipient: bool = False
) -> Scenario:
    """Requests with other values, and a good one after each."""
    mails: list[Mail] = []
    for values in changes:
        change = partial(_change_recipient if of_recipient else _change, values)
        mails += (Mail(change=change), _good())
    return Scenario(name=name, parameters=_ONE_PROCESS, mails=tuple(mails))


def _change(values: Mapping[str, object], request: DeliveryRequest) -> DeliveryRequest:
    return request._replace(**values)  # type: ignore[arg-type]


def _change_recipient(
    values: Mapping[str, object], request: DeliveryRequest
) -> DeliveryRequest:
    (recipient,) = request.recipients
    return request._replace(recipients=(recipient._replace(**values),))  # type: ignore[arg-type]


def _hash(instance: Instance, queued: QueueFile) -> None:
    hashed = queued.path.parent / "3" / "F"
    hashed.mkdir(parents=True, exist_ok=True)
    for directory in (hashed.parent, hashed):
        instance.mail_owner.give(directory)
    queued.path.rename(hashed / queued.path.name)


def _link(instance: Instance, queued: QueueFile) -> None:
    (instance.spool / "incoming" / queued.path.name).hardlink_to(queued.path)


def _empty(instance: Instance, queued: QueueFile) -> None:
    os.truncate(queued.path, 0)


def _end_before_content(instance: Instance, queued: QueueFile) -> None:
    os.truncate(queued.path, queued.data_offset)


# No request of these scenarios is longer.
_MOST_BYTES = 700

_SAME = (
    _bad("hang-up-at-every-byte", map(_cut, range(_MOST_BYTES))),
    _bad("every-attribute-renamed", _everywhere(_rename)),
    _bad("every-attribute-in-capitals", _everywhere(_change_case)),
    _bad("every-attribute-without-name", _everywhere(_omit_name)),
    _bad("every-attribute-missing", _everywhere(_omit)),
    _bad("every-value-missing", _everywhere(_omit_value)),
    _bad("an-extra-attribute-everywhere", _everywhere(_insert)),
    _bad("an-early-end-everywhere", _everywhere(_end)),
    _bad("every-two-attributes-swapped", _everywhere(_swap)),
    _bad(
        "every-number-bad",
        _every_number(
            *(b"", b" ", b"-", b"+", b"x", b"3x", b"3 ", b"3\n", b"0x10", b"1e3"),
            *(b"1.0", b"--3", b"\xb2", b"\xd9\xa1", b"NaN", b"x" * 150),
        ),
    ),
    _bad(
        "numbers-that-look-odd",
        _one_field(
            b"ret_flags",
            *(b"-1", b"+3", b" 3", b"\t\n3", b"003", b"4294967295", b"4294967296"),
            *(b"18446744073709551615", b"18446744073709551616", b"9" * 5000),
            *(b"-18446744073709551615", b"-18446744073709551616", b"0" * 5000),
        ),
    ),
    _bad(
        "recipient-counts-that-overflow",
        _one_field(
            b"recipient_count",
            *(b"4294967297", b"18446744073709551617", b"-18446744073709551617"),
            *(b"-4294967295", b"9" * 5000, b"2147483648"),
        ),
    ),
    _bad(
        "flags-of-every-kind",
        _one_field(b"flags", b"0", b"1", b"2", b"4", b"16", b"32768", b"4294967295"),
    ),
    _bad(
        "more-recipients-than-announced", [lambda data: data + _join(_split(data)[1:])]
    ),
    _bad(
        "more-than-one-request-in-a-connection",
        [
            lambda data: data + data,
            lambda data: data + b"\0",
            lambda data: data + b"x" * 100_000,
        ],
    ),
    _changed(
        "content-elsewhere",
        [{"data_offset": offset} for offset in (0, 1, 100, 99_999, 2**40)],
    ),
    _changed(
        "sizes-that-are-not", [{"data_size": size} for size in (-1, 0, 2**63 - 1)]
    ),
    _changed(
        "values-nobody-knows",
        [
            *({"encoding": b""}, {"encoding": b"nonsense"}, {"sendopts": -1}),
            *({"nexthop": b""}, {"nexthop": b"n" * 65_000}, {"rewrite_context": b"?"}),
            *({"envelope_id": b"\xff" * 100}, {"log_ident": b"../.."}),
            *({"ret_flags": 255}, {"sender": b"s" * 5000 + b"@example.org"}),
        ],
    ),
    _changed(
        "recipient-values-nobody-knows",
        [
            *({"notify_flags": 255}, {"notify_flags": -1}, {"address": b""}),
            *({"dsn_original_recipient": b"d" * 3000}, {"original_recipient": b"@"}),
            {"original_recipient": b"o" * 3000},
            {"address": b"a" * 3000 + b"@example.com"},
            {"address": b"a\tb\nc\x7f\xff@example.com"},
        ],
        of_recipient=True,
    ),
    Scenario(
        name="queue-file-in-a-hashed-queue",
        parameters={"hash_queue_names": "ACTIVE, deferred", "hash_queue_depth": "2"},
        mails=(Mail(before=_hash), Mail(before=_hash)),
    ),
    Scenario(
        name="queue-file-of-two-names",
        mails=(Mail(before=_link, recipients=(BOB, NOBODY)), _good()),
    ),
    Scenario(name="queue-file-empty", mails=(Mail(before=_empty), _good())),
    Scenario(
        name="queue-file-without-content",
        mails=(Mail(before=_end_before_content, recipients=(BOB, MBOX)), _good()),
    ),
    _changed("recipient-offset-behind-the-end", [{"offset": 5000}], of_recipient=True),
)

_STAYS_ALIVE = "Bad requests"
_STOPS_EARLY = "One complaint for a request"
_BOUNDED = "Limits of a request"
_STRICT = "Bad requests"
_ANSWERS = "Clients that stop"
_QUEUED = "3F1A2B4C50 -rwx------"
# What a probe for bob comes to.
_PROBED = (
    "private/verify: request='update' address='bob@example.com' recipient_status='0' "
    "reason='delivers to maildir'"
)
_PROBED_LOG = log(
    "3F1A2B4C51: to=<bob@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
    "dsn=2.0.0, status=deliverable (delivers to maildir)"
)


def _refused(
    name: str,
    differs: str,
    *warnings: str,
    edit: Edit | None = None,
    **values: object,
) -> Scenario:
    """A request that postvirt refuses in its own way, and a good one after it."""
    change = partial(_change, values) if values else None
    expected = refused_then_delivered(warnings[0], _QUEUED)
    lines = [log(f"warning: {warning}") for warning in warnings]
    return Scenario(
        name=name,
        mails=(Mail(edit=edit, change=change, hang_up=True), Mail()),
        differs=differs,
        expected={**expected, "log": (*lines, sent("3F1A2B4C51"))},
    )


def _bad_name(name: str, queue_name: bytes) -> Scenario:
    warning = f"bad mail queue name: {queue_name.decode()}"
    return _refused(name, _STAYS_ALIVE, warning, queue_name=queue_name)


def _bad_id(name: str, queue_id: bytes) -> Scenario:
    warning = f"bad mail queue id: {queue_id.decode()}"
    return _refused(name, _STAYS_ALIVE, warning, queue_id=queue_id)


def _bad_offset(name: str, offset: int) -> Scenario:
    warning = "seek message file active/3F1A2B4C50: Invalid argument"
    return _refused(name, _STAYS_ALIVE, warning, data_offset=offset)


def _bad_recipient_offset(name: str, offset: int, warning: str) -> Scenario:
    """The mail is there already, and will come again: that is so with both programs."""
    change = partial(_change_recipient, {"offset": offset})
    warned = log(f"warning: {warning}")
    return Scenario(
        name=name,
        mails=(Mail(change=change), Mail(flags=NORMAL | RequestFlag.MTA_VRFY)),
        differs=_STAYS_ALIVE,
        expected={
            **refused_then_delivered(warning, _QUEUED),
            "requests": (_PROBED,),
            "log": (sent("3F1A2B4C50"), warned, _PROBED_LOG),
        },
    )


_RECEIVING = "deliver_request_get: error receiving {} attributes"
_COMMON, _RECIPIENT = map(_RECEIVING.format, ("common", "recipient"))

_AFTER_TIME = _refused(
    "time-renamed",
    _STOPS_EARLY,
    "unexpected attribute times from virtual socket (expecting: time)",
    _COMMON,
    edit=lambda data: data.replace(b"time\0", b"times\0", 1),
)

_DIFFERENT = (
    Scenario(
        name="client-that-stops",
        parameters=_ONE_PROCESS | {"ipc_timeout": "1s"},
        mails=(Mail(edit=_cut(100)), _good(), Mail(edit=_cut(600)), _good()),
        differs=_ANSWERS,
        expected={"replies": (REPLY_DEFERRED, REPLY_DONE) * 2},
    ),
    _AFTER_TIME,
    _refused(
        "attribute-extra-at-the-end-of-a-recipient",
        _STRICT,
        "unexpected attribute more from virtual socket (expecting: (list terminator))",
        _RECIPIENT,
        edit=lambda data: data[:-1] + b"more\0x\0\0",
    ),
    _refused(
        "value-oversized",
        _BOUNDED,
        "string longer than 65536 bytes from virtual socket",
        _COMMON,
        edit=lambda data: data.replace(b"alice@", b"a" * 70_000 + b"@", 1),
    ),
    _refused(
        "name-oversized",
        _BOUNDED,
        "string longer than 65536 bytes from virtual socket",
        _COMMON,
        edit=lambda data: b"f" * 1_000_000,
    ),
    _refused(
        "recipients-too-many",
        _BOUNDED,
        "100001 recipients in a request from virtual socket",
        _RECIPIENT,
        edit=lambda data: data.replace(b"count\x001\0", b"count\x00100001\0", 1),
    ),
    _bad_name("queue-name-empty", b""),
    _bad_name("queue-name-that-climbs", b"../active"),
    _bad_name("queue-name-with-slash", b"active/"),
    _bad_id("queue-id-empty", b""),
    _bad_id("queue-id-that-climbs", b"../active/3F1A2B4C50"),
    _bad_id("queue-id-with-slash", b"3F1A2B4C50/"),
    _bad_id("queue-id-of-the-parent", b".."),
    _bad_offset("content-before-the-file", -1),
    _bad_offset("content-behind-every-file", 2**63 - 1),
    _bad_recipient_offset(
        "recipient-offset-zero", 0, "active/3F1A2B4C50: bad recipient offset 0"
    ),
    _bad_recipient_offset(
        "recipient-offset-negative", -2, "active/3F1A2B4C50: bad recipient offset -2"
    ),
    _bad_recipient_offset(
        "recipient-offset-behind-every-file",
        2**63 - 1,
        "update queue file active/3F1A2B4C50: Invalid argument",
    ),
)

SCENARIOS = (*_SAME, *_DIFFERENT)
