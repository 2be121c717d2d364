"""Records of a queue file: pointers, lengths, damage; and how an mbox file ends."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from postvirt.model.request import DeliveryRequest, RequestFlag
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import (
    EXTRACTED,
    LINE,
    PADDING,
    PART_OF_LINE,
    POINTER,
    QueueFile,
    encode_record,
)
from tests.comparison.scenarios.expectations import (
    DELIVERED_MAIL,
    REPLY_DEFERRED,
    REPLY_DONE,
    log,
    sent,
    where,
)
from tests.harness.failing_calls import Failing
from tests.harness.installed_postfix import VERSION
from tests.harness.scenario import BOB, MBOX, NOBODY, Mail, Scenario

_BOTH = (BOB, MBOX)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a pointer leads."""

    name: str


@dataclass(frozen=True, slots=True)
class _Jump:
    """A pointer record to a place, or so many bytes behind it."""

    name: str
    behind: int = 0


_Part = bytes | _Place | _Jump


def _pointer(offset: int) -> bytes:
    return encode_record(POINTER, b"%15d" % offset)


def _records(parts: tuple[_Part, ...], start: int) -> bytes:
    """The records, for a file in which the content begins at `start`."""
    places: dict[str, int] = {}
    position = start
    for part in parts:
        match part:
            case _Place(name):
                places[name] = position
            case _Jump():
                position += len(_pointer(0))
            case bytes():
                position += len(part)
    return b"".join(
        _pointer(places[part.name] + part.behind) if isinstance(part, _Jump) else part
        for part in parts
        if not isinstance(part, _Place)
    )


def _linked(name: str, *parts: _Part) -> Mail:
    """Content with pointers, to a maildir and to an mbox file; the sender names it."""

    def before(instance: Instance, queued: QueueFile) -> None:
        data = queued.path.read_bytes()
        blind = _records(parts, 0)
        assert data.count(blind) == 1
        aimed = _records(parts, queued.data_offset)
        queued.path.write_bytes(data.replace(blind, aimed))

    return Mail(
        records=_records(parts, 0),
        before=before,
        recipients=_BOTH,
        sender=f"{name}@example.org".encode(),
    )


def _line(data: bytes) -> bytes:
    return encode_record(LINE, data)


def _piece(data: bytes) -> bytes:
    return encode_record(PART_OF_LINE, data)


_HEADER = _line(b"Subject: records") + _line(b"")
_X = encode_record(EXTRACTED)

_POINTERS = (
    _linked(
        "pointer-backward",
        _Jump("second"),
        _Place("first"),
        _line(b"a second line"),
        _X,
        _Place("second"),
        _HEADER,
        _line(b"a first line"),
        _Jump("first"),
    ),
    _linked(
        "pointers-in-a-row",
        _HEADER,
        _Jump("one"),
        _Place("three"),
        _Jump("end"),
        _Place("two"),
        _Jump("three"),
        _Place("one"),
        _Jump("two"),
        _Place("end"),
        _line(b"the end"),
        _X,
    ),
    _linked(
        "pointer-within-a-line",
        _HEADER,
        _piece(b"From one piece"),
        _Jump("rest"),
        _line(b"not this"),
        _Place("rest"),
        _piece(b"From another"),
        _line(b"From the last"),
        _line(b"From the next line"),
        _X,
    ),
    _linked("pointer-to-the-end", _HEADER, _Jump("end"), b"?", _Place("end"), _X),
    _linked("pointer-to-the-next-record", _HEADER, _Jump("x"), _Place("x"), _X),
    _linked("pointer-at-once", _Jump("x"), b"Z\0", _Place("x"), _HEADER, _X),
    _linked("pointer-before-padding", _HEADER, _pointer(0) * 3, b"w\0w\0", _X),
    _linked("pointer-to-itself", _HEADER, _Place("x"), _Jump("x"), _X),
    _linked(
        "pointer-circle-with-content",
        _HEADER,
        _Place("x"),
        _line(b"again"),
        _Jump("x"),
        _X,
    ),
    _linked(
        "pointer-into-a-record",
        _HEADER,
        _Jump("x", behind=4),
        _Place("x"),
        _line(b"abN\x05inner"),
        _X,
    ),
    _linked(
        "pointer-into-nonsense",
        _HEADER,
        _Jump("x", behind=2),
        _Place("x"),
        _line(b"\x07abc"),
        _X,
    ),
    _linked("pointer-to-the-envelope", _HEADER, _pointer(1), _X),
    _linked("pointer-far-away", _HEADER, _pointer(10**14), _X),
)


def _value(name: str, value: bytes) -> Mail:
    """A pointer record with this data, and a line behind it."""
    return _linked(
        f"value-{name}",
        _HEADER,
        encode_record(POINTER, value),
        _line(b"behind"),
        _X,
    )


_VALUES = (
    _value("empty", b""),
    _value("blank", b"               "),
    _value("short", b"0"),
    _value("zeros", b"000000000000000"),
    _value("negative", b"             -5"),
    _value("plus", b"             +0"),
    _value("with-tail", b"0abc"),
    _value("with-blank-behind", b"0              "),
    _value("nul", b"\0\0\0\0"),
    _value("nul-behind", b"0\0abc"),
    _value("tab", b"\t0"),
    _value("vertical-tab", b"\v\f\r\n 0"),
    _value("largest", b"%d" % (2**63 - 1)),
    _value("too-large", b"%d" % 2**63),
    _value("twenty-digits", b"9" * 20),
    _value("twenty-zeros", b"0" * 20),
)


def _content(name: str, *records: bytes) -> Mail:
    """Content as records, to a maildir and to an mbox file."""
    return _linked(name, _HEADER, *records)


_LENGTHS = (
    *(
        _content(f"record-of-{size}-bytes", _line(b"x" * size), _X)
        for size in (127, 128, 16_383, 16_384, 2_097_151, 2_097_152)
    ),
    _content("length-of-six-bytes", b"N\x85\x80\x80\x80\x80\x00", b"hello", _X),
    _content("length-beyond-the-file", b"N\xff\xff\x7f", b"short", _X),
    _content("end-with-data", encode_record(EXTRACTED, b"data")),
    _content("pieces-only", _piece(b"a"), _piece(b"b"), _piece(b"c"), _X),
    _content("piece-and-empty-line", _piece(b"a"), _line(b""), _line(b"b"), _X),
    _content("empty-piece-at-the-end", _line(b"a"), _piece(b""), _X),
    _content("padding-at-the-end", _line(b"a"), encode_record(PADDING, b"z" * 500), _X),
    _content("from-at-the-end", _piece(b"From "), _X),
)

_LONG_LENGTH = b"".join(
    (
        _line(b"Subject: greetings"),
        _line(b"From: alice@example.org"),
        _line(b""),
        b"N\x86\x80\x80\x80\x00Hello.",
        _X,
    )
)


def _mbox(content: bytes, mode: int = 0o600) -> Callable[[Instance], None]:
    """An mbox file with this content."""

    def prepare(instance: Instance) -> None:
        path = instance.mail / "mbox"
        path.write_bytes(content)
        path.chmod(mode)
        instance.recipient_owner.give(path)

    return prepare


_TORN = b"From carol\n\nOld mail"

_ENDS = (
    Scenario(
        name="mbox-that-ends-with-a-line",
        prepare=_mbox(_TORN + b"\n"),
        mails=(Mail(recipients=(MBOX,)), Mail(recipients=(MBOX,))),
    ),
    Scenario(
        name="mbox-that-is-torn-and-cannot-be-read",
        prepare=_mbox(_TORN, 0o200),
        mails=(Mail(recipients=(MBOX,)), Mail(recipients=(MBOX,))),
    ),
)


def _warnings(*warnings: str) -> Mapping[str, tuple[str, ...]]:
    """The log of a message that is corrupt."""
    return {"log": tuple(log(f"warning: {warning}") for warning in warnings)}


_ONE = (
    r"    b'From alice@example.org  DATE\n'",
    r"    b'Return-Path: <alice@example.org>\n'",
    r"    b'Delivered-To: mbox@example.com\n'",
    r"    b'one\n'",
    r"    b'\n'",
)

_MARKED = "corrupted queue file: active/3F1A2B4C50"

_DIFFERENT = (
    Scenario(
        name="mbox-that-is-torn",
        prepare=_mbox(_TORN),
        mails=(Mail(recipients=(MBOX, MBOX), content=b"one\n"),),
        differs="Torn mbox files",
        expected={
            "mail": (
                "drwxr-xr-x 5000:5000 mail",
                "-rw------- 5000:5000 mail/mbox links=1",
                r"    b'From carol\n'",
                r"    b'\n'",
                r"    b'Old mail\n'",
                r"    b'\n'",
                *_ONE,
                *_ONE,
            )
        },
    ),
    Scenario(
        name="length-of-20-megabytes",
        mails=(Mail(records=_HEADER + b"N\x80\xda\xc4\x09short" + _X),),
        differs="Impossible lengths",
        expected=_warnings(
            "active/3F1A2B4C50: illegal length 20000000, record type 78",
            "bad record type: -2 in message content",
            _MARKED,
        ),
    ),
    Scenario(
        name="length-of-2-gigabytes",
        mails=(Mail(records=_HEADER + b"N\x80\x80\x80\x80\x08short" + _X),),
        differs="Impossible lengths",
        expected=_warnings(
            "active/3F1A2B4C50: illegal length 2147483648, record type 78",
            "bad record type: -2 in message content",
            _MARKED,
        ),
    ),
    Scenario(
        name="newline-in-a-record",
        mails=(
            Mail(
                records=_HEADER + _line(b"one\nFrom two\n\nFrom three") + _X,
                recipients=(MBOX,),
            ),
        ),
        differs="Quoted From lines",
        expected={
            "mail": (
                "drwxr-xr-x 5000:5000 mail",
                "-rw------- 5000:5000 mail/mbox links=1",
                r"    b'From alice@example.org  DATE\n'",
                r"    b'Return-Path: <alice@example.org>\n'",
                r"    b'Delivered-To: mbox@example.com\n'",
                r"    b'Subject: records\n'",
                r"    b'\n'",
                r"    b'one\n'",
                r"    b'>From two\n'",
                r"    b'\n'",
                r"    b'>From three\n'",
                r"    b'\n'",
            )
        },
    ),
    Scenario(
        name="corrupt-and-limit-reached",
        parameters={"virtual_mailbox_limit": "30000", "message_size_limit": "30000"},
        prepare=_mbox(b"o" * 24_999 + b"\n"),
        mails=(Mail(records=_line(b"y" * 60) * 200 + b"Z\0", recipients=(MBOX,)),),
        differs="Corrupt queue files",
        expected={
            "replies": (REPLY_DEFERRED,),
            "queue": ("3F1A2B4C50 -r--------",),
            "requests": (),
            **_warnings("bad record type: 90 in message content", _MARKED),
        },
    ),
)


def _at(name: str, offset: int) -> Scenario:
    """A request for content that begins somewhere else; then a good one."""

    def change(request: DeliveryRequest) -> DeliveryRequest:
        return request._replace(data_offset=offset)

    mail = Mail(change=change, recipients=_BOTH)
    return Scenario(name=name, mails=(mail, Mail()))


_OFFSETS = (
    _at("content-offset-zero", 0),
    _at("content-offset-in-a-record", 215),
    _at("content-offset-beyond-the-end", 100_000),
)

_BROKEN = _HEADER + _line(b"y" * 60) * 500 + b"Z\0"


def _corrupt(name: str, mail: Mail, **parameters: str) -> Scenario:
    return Scenario(
        name=name, parameters=parameters, mails=(replace(mail, records=_BROKEN), Mail())
    )


_CORRUPT = (
    _corrupt("corrupt-and-other-recipients", Mail(recipients=(NOBODY, BOB, MBOX))),
    _corrupt(
        "corrupt-and-soft-bounce", Mail(recipients=(NOBODY, MBOX)), soft_bounce="yes"
    ),
    _corrupt("corrupt-and-probe", Mail(recipients=_BOTH, flags=RequestFlag.MTA_VRFY)),
    _corrupt(
        "corrupt-and-nobody-to-cross-off",
        Mail(recipients=_BOTH, flags=RequestFlag.BOUNCE),
    ),
    _corrupt("corrupt-for-twenty", Mail(recipients=(BOB, MBOX) * 10)),
    Scenario(
        name="corrupt-and-disk-full",
        failing=Failing("fsync", errno.ENOSPC),
        mails=(Mail(records=_BROKEN, recipients=_BOTH),),
    ),
)

# Many messages for one process: what is corrupt must not disturb what comes behind.
SCENARIOS = (
    Scenario(name="pointers", mails=(*_POINTERS, Mail())),
    Scenario(name="pointer-values", mails=(*_VALUES, Mail())),
    Scenario(name="record-lengths", mails=(*_LENGTHS, Mail())),
    Scenario(
        name="record-length-longer-than-needed",
        mails=(Mail(records=_LONG_LENGTH),),
        **where(
            VERSION >= (3, 10),
            "Length of a record",
            {
                "replies": (REPLY_DONE,),
                "mail": DELIVERED_MAIL,
                "queue": ("3F1A2B4C50 -rwx------", "  179: b'R' -> b'D'"),
                "requests": (),
                "log": (sent("3F1A2B4C50"),),
            },
        ),
    ),
    *_ENDS,
    *_DIFFERENT,
    *_OFFSETS,
    *_CORRUPT,
)
