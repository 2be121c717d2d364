"""Requests, replies, records: what other processes send, and what the queue has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from postvirt.codec import attributes, from_lines
from postvirt.codec import modified_utf7 as utf7
from postvirt.codec.announcement import (
    DELIVERY_REQUEST,
    decode_announcement,
    encode_announcement,
)
from postvirt.codec.attributes import NeedData
from postvirt.codec.cleanup_mail import decode_answer, decode_greeting
from postvirt.codec.delivery import (
    RECIPIENT_FIELDS,
    REPLY_FIELDS,
    REQUEST_FIELDS,
    RequestDecoder,
    decode_reply,
    encode_reply,
    encode_request,
)
from postvirt.codec.folder_names import (
    BadFolderNameError,
    directory_of,
    folder_name,
    has_name,
    name_of,
)
from postvirt.codec.host_address import ipv4_problem, ipv6_problem
from postvirt.codec.message_stats import decode_stats, encode_stats
from postvirt.codec.notice import (
    APPEND_FIELDS,
    FLUSH_FIELDS,
    STATUS_FIELDS,
    VERIFY_FIELDS,
    decode_status,
    encode_flush_add,
    encode_status,
    encode_verify_update,
)
from postvirt.codec.policy_protocol import PolicyDecoder, PolicyRequest, encode_action
from postvirt.codec.quota_template import PLACEHOLDERS, Template
from postvirt.codec.quoting import quote_local
from postvirt.errors import ProtocolError, QueueFileError
from postvirt.mailbox import unfinished
from postvirt.model.request import DeliveryRequest
from postvirt.queuefile import content
from postvirt.queuefile.content import QueueFileContent
from postvirt.standin.queue_file import QueueFile
from tests.fuzz.target import Target, outcome, split
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, MBOX

_LISTS = (
    REQUEST_FIELDS,
    RECIPIENT_FIELDS,
    REPLY_FIELDS,
    APPEND_FIELDS,
    VERIFY_FIELDS,
    FLUSH_FIELDS,
    STATUS_FIELDS,
)
_PEER = "fuzz socket"


def fuzz_attributes(data: bytes) -> None:
    """A list that is decoded at once is what it is one by one."""
    choice, buffer = split(data)
    if not buffer:
        return
    fields = _LISTS[choice % len(_LISTS)]
    at_once = outcome(
        lambda: attributes.decode(fields, buffer, 0, _PEER), ProtocolError
    )
    one_by_one = outcome(
        lambda: attributes._decode_one_by_one(fields, buffer, 0, _PEER), ProtocolError
    )
    assert at_once == one_by_one, (at_once, one_by_one)


def fuzz_request(data: bytes) -> None:
    """A request is the same in two pieces, and again when it is sent on."""
    choice, buffer = split(data)
    place = choice * len(buffer) // 256
    whole = _request([buffer])
    assert whole == _request([buffer[:place], buffer[place:]])
    if isinstance(whole, DeliveryRequest):
        assert _request([encode_request(whole)]) == whole


def _request(pieces: Sequence[bytes]) -> DeliveryRequest | NeedData | str:
    decoder = RequestDecoder(_PEER)
    found: DeliveryRequest | NeedData | str = NeedData.LIST
    for piece in pieces:
        decoder.feed(piece)
        found = outcome(decoder.next, ProtocolError)
        if not isinstance(found, NeedData):
            return found
    if isinstance(found, NeedData):
        decoder.end(found, "timeout")
    return found


def fuzz_answers(data: bytes) -> None:
    """Greetings, replies, and the times of a message."""
    for decode in (decode_reply, decode_status, decode_greeting, decode_answer):
        outcome(lambda decode=decode: decode(data, 0, _PEER), ProtocolError)  # type: ignore[misc]
    outcome(lambda: decode_announcement(b"fuzz", data, 0, _PEER), ProtocolError)
    outcome(lambda: encode_stats(decode_stats(data)), ProtocolError)


def fuzz_records(data: bytes) -> None:
    """Content is the same whatever is read at once, quoted or not."""
    choice, buffer = split(data)
    content.MAX_REVERSE_JUMPS = 20  # more only take longer
    fd = os.memfd_create("queue file")
    try:
        os.write(fd, buffer)
        whole = _content(fd, block_bytes=262_144)
        assert whole == _content(fd, block_bytes=16 + choice)
        plain, quoted = whole
        if not isinstance(plain, str) and not isinstance(quoted, str):
            assert quoted == b"".join(from_lines.quote_from_lines([plain]))
    finally:
        os.close(fd)


def _content(fd: int, *, block_bytes: int) -> list[bytes | str]:
    content.BLOCK_BYTES = block_bytes
    return [
        outcome(
            lambda quoted=quoted: b"".join(  # type: ignore[misc]
                QueueFileContent(fd, 0).chunks(quote_from=quoted)
            ),
            QueueFileError,
        )
        for quoted in (False, True)
    ]


def fuzz_from_lines(data: bytes) -> None:
    """Lines are quoted the same way, however the text is divided."""
    choice, rest = split(data)
    step = 1 + choice
    pieces = [rest[at : at + step] for at in range(0, len(rest), step)]
    whole = b"".join(from_lines.quote_from_lines([rest]))
    assert b"".join(from_lines.quote_from_lines(pieces)) == whole


def fuzz_addresses(data: bytes) -> None:
    """Of hosts and of people."""
    ipv4_problem(data)
    ipv6_problem(data)
    quote_local(data)
    quote_local(data, bare_local_part=True)


def fuzz_folders(data: bytes) -> None:
    """A name of a folder is one directory of its maildir, and has one form."""
    try:
        assert utf7.encode(utf7.decode(data)) == data
    except ValueError:
        pass
    try:
        name = folder_name(data)
    except BadFolderNameError:
        return
    directory = directory_of(name)
    assert directory.startswith(b".")
    assert not set(b"./\0") & set(directory[1:])
    assert 1 < len(directory) <= 200
    assert name_of(directory) == name
    assert has_name(name)(directory)


def fuzz_unfinished(data: bytes) -> None:
    """A forged note about a forged mailbox never leads behind its end."""
    note, _, mailbox = data.partition(b"\0")
    fd = os.memfd_create("mailbox")
    try:
        os.write(fd, mailbox)
        try:
            os.setxattr(fd, "user.postvirt.unfinished", note)
        except OSError:
            return
        assert -1 <= unfinished.find(fd, b"") <= max(0, len(mailbox) - 1)
    finally:
        os.close(fd)


def fuzz_template(data: bytes) -> None:
    """A template makes a message with headers that it cannot change, or is refused."""
    template = outcome(lambda: Template.decode(data), ValueError)
    if isinstance(template, str):
        return
    values = dict.fromkeys(PLACEHOLDERS, data.decode("utf-8", "surrogateescape"))
    message = template.message(values, {"Date": "now"}, "a@b")
    head = message.partition(b"\n\n")[0]
    names = [line.partition(b":")[0].lower() for line in head.split(b"\n")]
    assert head.isascii()
    for name in (b"date", b"mime-version", b"content-type", b"auto-submitted"):
        assert names.count(name) == 1, head


def fuzz_policy(data: bytes) -> None:
    """Requests to a policy service are the same in two pieces; answers are one line."""
    choice, buffer = split(data)
    place = choice * len(buffer) // 256
    assert _asked([buffer]) == _asked([buffer[:place], buffer[place:]])
    assert encode_action(buffer).find(b"\n") == len(encode_action(buffer)) - 2


def _asked(pieces: Sequence[bytes]) -> list[PolicyRequest | str]:
    decoder = PolicyDecoder()
    found: list[PolicyRequest | str] = []
    for piece in pieces:
        decoder.feed(piece)
        while request := outcome(decoder.next, ProtocolError):
            found.append(request)
            if isinstance(request, str):
                return found
    return found


_QUEUED = QueueFile(
    Path(), b"active", b"3F1A2B0001", 300, 50, b"alice@example.org", (BOB, MBOX)
)
_REQUESTED = request_for(_QUEUED)
_REQUEST = encode_request(_REQUESTED)
_CONTENT = (
    b"N\x08Subject:N\x00N\x05From N\x06>From L\x03abcL\x03dezN\x01f"
    + b"N\x04line" * 20
    + b"w\x03abcp\x100              \0N\x81\x01"
    + b"x" * 129
    + b"X\x00"
)

TARGETS = (
    Target(
        fuzz_attributes,
        [
            bytes((number,)) + one
            for number, one in enumerate(
                (
                    _REQUEST,
                    _REQUEST[_REQUEST.index(b"\0\0original") + 2 :],
                    encode_reply(-1),
                    b"",
                    encode_verify_update(b"a@b", 1, "c"),
                    encode_flush_add(b"a", b"b"),
                    encode_status(-1),
                )
            )
        ],
    ),
    Target(fuzz_request, [b"\x00" + _REQUEST, b"\x80" + _REQUEST]),
    Target(
        fuzz_answers,
        [
            encode_reply(0),
            encode_status(1),
            encode_announcement(DELIVERY_REQUEST),
            encode_stats(_REQUESTED.stats),
        ],
    ),
    Target(fuzz_records, [b"\x00" + _CONTENT, b"\x10" + _CONTENT], longest=1024),
    Target(fuzz_from_lines, [b"\x02a\nFrom \n>From \n>>From b\n>>>Fro"], longest=1024),
    Target(
        fuzz_addresses,
        [b"192.0.2.1", b"::ffff:192.0.2.1", b"2001:db8::1", b'"a b"@example.com'],
        longest=200,
    ),
    Target(
        fuzz_folders,
        [b"Work", b"A&-B", b"&U,BTFw-&-&ZeVnLIqe-", "Grüße u\u0308".encode(), b"a.b/~"],
        longest=300,
    ),
    Target(fuzz_template, [b"From: a@b\nSubject: \xc3\xa4 ${percent}\n b\n\n${used}"]),
    Target(
        fuzz_policy,
        [b"\x10request=smtpd_access_policy\nsize=7\nrecipient=a@b\n\nsize=\n\n"],
    ),
    Target(
        fuzz_unfinished,
        [b"3 From a  Mon Jan  1 00:00:00 2024\n\0abcFrom a  Mon Jan  1 00:00:00"],
    ),
)
