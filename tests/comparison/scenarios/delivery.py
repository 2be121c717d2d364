"""What is written: maildir and mbox, headers, names, content."""

from __future__ import annotations

from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import (
    END,
    EXTRACTED,
    LINE,
    PADDING,
    PART_OF_LINE,
    POINTER,
    QueueFile,
    encode_content,
    encode_record,
)
from tests.harness.scenario import BOB, CONTENT, MBOX, NOBODY, Mail, Scenario, to

# A table whose every entry can be reached by the recipients below.
_EVERYBODY = {"@example.com": "everybody/"}
_EVERYBODY_MBOX = {"@example.com": "everybody"}


def _content(name: str, content: bytes) -> Scenario:
    """The same content to a maildir and to an mbox file."""
    return Scenario(name=name, mails=(Mail(content=content, recipients=(BOB, MBOX)),))


def _records(name: str, *records: bytes) -> Scenario:
    """Content records as given, to a maildir and to an mbox file."""
    mail = Mail(records=b"".join(records), recipients=(BOB, MBOX))
    return Scenario(name=name, mails=(mail,))


def _line(data: bytes) -> bytes:
    return encode_record(LINE, data)


_END_OF_CONTENT = encode_record(EXTRACTED)
_HEADER = _line(b"Subject: records") + _line(b"")

_PLACES = (
    Scenario(name="maildir"),
    Scenario(name="maildir-twice", mails=(Mail(), Mail(content=b"Subject: 2\n\n2\n"))),
    Scenario(name="mbox", mails=(Mail(recipients=(MBOX,)),)),
    Scenario(
        name="mbox-twice",
        mails=(
            Mail(recipients=(MBOX,)),
            Mail(recipients=(MBOX,), content=b"Subject: 2\n\n2\n"),
        ),
    ),
    Scenario(
        name="mbox-twice-in-one-request",
        mails=(Mail(recipients=(MBOX, MBOX)),),
    ),
    Scenario(
        name="deep-maildir",
        mailboxes={"bob@example.com": "example.com/b/bob/Maildir/"},
    ),
    Scenario(name="deep-mbox", mailboxes={"bob@example.com": "example.com/b/bob"}),
)

_ADDRESSES = (
    Scenario(name="null-sender", mails=(Mail(sender=b"", recipients=(BOB, MBOX)),)),
    Scenario(
        name="sender-that-needs-quotes",
        mails=(
            Mail(sender=b'a "b\\ c@example.org', recipients=(BOB, MBOX)),
            Mail(sender=b"two..dots@example.org", recipients=(BOB,)),
            Mail(sender=b"no-domain", recipients=(MBOX,)),
            Mail(sender=b"@relay.example:a b@example.org", recipients=(MBOX,)),
        ),
    ),
    Scenario(
        name="original-recipient-same",
        mails=(Mail(recipients=(to("bob@example.com", "bob@example.com"),)),),
    ),
    Scenario(
        name="original-recipient-different",
        mails=(Mail(recipients=(to("bob@example.com", "sales@example.com"),)),),
    ),
    Scenario(
        name="original-recipient-differs-in-case",
        mails=(Mail(recipients=(to("bob@example.com", "BOB@Example.com"),)),),
    ),
    Scenario(
        name="original-recipient-needs-quotes",
        mails=(Mail(recipients=(to("bob@example.com", 'the "boss"@example.com'),)),),
    ),
    Scenario(
        name="original-recipient-disabled",
        parameters={"enable_original_recipient": "no"},
        mails=(Mail(recipients=(to("bob@example.com", "sales@example.com"),)),),
    ),
    Scenario(
        name="recipients-that-need-quotes",
        mailboxes=_EVERYBODY,
        mails=(
            Mail(recipients=(to("b ob@example.com"),)),
            Mail(recipients=(to("b@ob@example.com"),)),
            Mail(recipients=(to(".bob@example.com"),)),
            Mail(recipients=(to('b"ob@example.com'),)),
            Mail(recipients=(to("@example.com"),)),
        ),
    ),
    Scenario(
        name="utf-8-addresses",
        mailboxes=_EVERYBODY_MBOX,
        mails=(
            Mail(
                sender="jürgen@exämple.org".encode(),
                recipients=(to("jörg@example.com", "JÖRG@example.com"),),
            ),
        ),
    ),
    Scenario(
        name="latin-1-addresses",
        mailboxes=_EVERYBODY,
        mails=(
            Mail(
                sender="jürgen@example.org".encode("latin-1"),
                recipients=(to("jörg@example.com".encode("latin-1")),),
            ),
        ),
    ),
    Scenario(
        name="latin-1-addresses-without-smtputf8",
        parameters={"smtputf8_enable": "no"},
        mailboxes=_EVERYBODY,
        mails=(
            Mail(
                sender="jürgen@example.org".encode("latin-1"),
                recipients=(to("jörg@example.com".encode("latin-1")),),
            ),
        ),
    ),
    Scenario(
        name="control-characters-in-addresses",
        mailboxes=_EVERYBODY,
        mails=(
            Mail(
                sender=b"a\tb\x7fc@example.org", recipients=(to("b\x01b@example.com"),)
            ),
        ),
    ),
    Scenario(
        name="newline-in-sender",
        mails=(Mail(sender=b"a\nBcc: b@example.org", recipients=(BOB, MBOX)),),
    ),
    Scenario(
        name="several-recipients",
        parameters={"virtual_uid_maps": "texthash:@etc@/uids"},
        tables={
            "texthash:uids": {
                "bob@example.com": "5000",
                "mbox@example.com": "5000",
            }
        },
        mails=(
            Mail(
                recipients=(
                    BOB,
                    NOBODY,
                    to("carol@example.com"),
                    MBOX,
                    to("BOB@EXAMPLE.COM"),
                )
            ),
        ),
    ),
)

_CONTENT = (
    _content("empty-content", b""),
    _content("header-only", b"Subject: nothing\n"),
    _content("one-empty-line", b"\n"),
    _content("no-final-newline", b"Subject: x\n\nno end"),
    _content("long-line", b"Subject: long\n\n" + b"x" * 5000 + b"\nend\n"),
    _content("line-of-the-limit", b"x" * 2048 + b"\n" + b"y" * 2049 + b"\n"),
    _content(
        "from-lines",
        b"From the start\nSubject: x\n\nFrom here\n>From there\n From\nFrom\nFrom \n"
        b"from below\nFrom end",
    ),
    _content(
        "from-after-a-long-line",
        b"Subject: x\n\n" + b"x" * 2048 + b"From the middle\nFrom the start\n",
    ),
    _content("8-bit-and-nul", bytes(range(256)).replace(b"\n", b"") * 3 + b"\n\r\n\n"),
    _content("carriage-returns", b"Subject: x\r\n\r\nFrom x\r\nbody\r\n"),
    _content("large-content", b"Subject: big\n\n" + b"0123456789abcde\n" * 40_000),
)

_RECORDS = (
    _records(
        "padding-records",
        _HEADER,
        encode_record(PADDING, b"\0" * 200),
        _line(b"after padding"),
        encode_record(PADDING),
        _END_OF_CONTENT,
    ),
    _records(
        "pointer-zero",
        _HEADER,
        encode_record(POINTER, b"%15d" % 0),
        _line(b"after the pointer"),
        _END_OF_CONTENT,
    ),
    _records(
        "long-record",
        _HEADER,
        _line(b"z" * 70_000),
        _END_OF_CONTENT,
    ),
    _records(
        "piece-at-the-end",
        _HEADER,
        encode_record(PART_OF_LINE, b"a piece and no more"),
        _END_OF_CONTENT,
    ),
    _records(
        "piece-then-padding-then-line",
        _HEADER,
        encode_record(PART_OF_LINE, b"one "),
        encode_record(PADDING, b"ppp"),
        _line(b"From a piece"),
        _END_OF_CONTENT,
    ),
    _records("content-with-tail", encode_content(CONTENT), encode_record(END)),
)


def _aim_pointer(instance: Instance, queued: QueueFile) -> None:
    """Let the pointer record lead to the line that is to be shown."""
    content = queued.path.read_bytes()
    target = content.index(_line(b"shown"))
    blind = encode_record(POINTER, b"%15d" % 1)
    aimed = encode_record(POINTER, b"%15d" % target)
    queued.path.write_bytes(content.replace(blind, aimed))


_POINTERS = (
    Scenario(
        name="pointer-forward",
        mails=(
            Mail(
                records=_HEADER
                + encode_record(POINTER, b"%15d" % 1)
                + _line(b"hidden")
                + _line(b"shown")
                + _END_OF_CONTENT,
                before=_aim_pointer,
                recipients=(BOB, MBOX),
            ),
        ),
    ),
)

_DIFFERENT = (
    Scenario(
        name="from-in-pieces",
        mails=(
            Mail(
                recipients=(MBOX,),
                records=_HEADER
                + encode_record(PART_OF_LINE)
                + _line(b"From behind an empty piece")
                + encode_record(PART_OF_LINE, b"Fr")
                + _line(b"om two pieces")
                + _END_OF_CONTENT,
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
                r"    b'>From behind an empty piece\n'",
                r"    b'>From two pieces\n'",
                r"    b'\n'",
            )
        },
    ),
)

SCENARIOS = (*_PLACES, *_ADDRESSES, *_CONTENT, *_RECORDS, *_POINTERS, *_DIFFERENT)
