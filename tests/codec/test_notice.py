"""What the bounce, defer, trace, verify and flush services are told."""

import pytest

from postvirt.codec.attributes import NeedData
from postvirt.codec.notice import (
    decode_status,
    encode_append,
    encode_flush_add,
    encode_status,
    encode_verify_update,
)
from postvirt.errors import ProtocolError
from postvirt.model.outcome import Dsn
from postvirt.model.request import Recipient, RequestFlag

RECIPIENT = Recipient(
    original_recipient=b"old@example.com",
    address=b"new@example.com",
    offset=77,
    dsn_original_recipient=b"rfc822;old@example.com",
    notify_flags=6,
)


def test_an_append_request_is_the_recipient_and_its_status():
    dsn = Dsn("5.1.1", 'unknown user: "é\udcff"', "failed")
    assert encode_append(RequestFlag.RECORD, b"3F1A", RECIPIENT, dsn) == (
        b"nrequest\x000\0flags\x001024\0queue_id\x003F1A\0"
        b"original_recipient\0old@example.com\0recipient\0new@example.com\0"
        b"offset\x0077\0dsn_orig_rcpt\0rfc822;old@example.com\0notify_flags\x006\0"
        b"status\x005.1.1\0diag_type\0\0diag_text\0\0mta_type\0\0mta_mname\0\0"
        b'action\0failed\0reason\0unknown user: "\xc3\xa9\xff"\0\0'
    )


def test_what_the_system_said_goes_with_the_status():
    dsn = Dsn("4.2.0", "no lock", "delayed", "File exists")
    request = encode_append(RequestFlag(0), b"3F1A", RECIPIENT, dsn)
    assert b"\0diag_type\0x-unix\0diag_text\0File exists\0mta_type\0\0" in request


def test_a_verify_update_is_the_address_and_what_was_found():
    assert encode_verify_update(b"user@example.com", 2, "é") == (
        b"request\0update\0address\0user@example.com\0recipient_status\x002\0"
        b"reason\0\xc3\xa9\0\0"
    )


def test_a_flush_hint_is_the_domain_and_the_queue_id():
    assert encode_flush_add(b"example.com", b"3F1A") == (
        b"request\0add\0site\0example.com\0queue_id\x003F1A\0\0"
    )


@pytest.mark.parametrize(
    ("status", "number"), [(0, b"0"), (-1, b"4294967295"), (4, b"4")]
)
def test_the_answer_is_one_number(status, number):
    wire = b"status\0" + number + b"\0\0"
    assert encode_status(status) == wire
    assert decode_status(wire, 0, "socket") == status
    assert decode_status(wire + b"more", 0, "socket") == status
    assert decode_status(b"x" + wire, 1, "socket") == status
    for end in range(len(wire)):
        assert isinstance(decode_status(wire[:end], 0, "socket"), NeedData)


def test_another_answer_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="unexpected attribute reason"):
        decode_status(b"reason\x000\0\0", 0, "private/bounce socket")


def test_a_reason_with_a_nul_is_not_sent():
    with pytest.raises(ProtocolError, match="NUL byte in attribute reason"):
        encode_append(RequestFlag(0), b"3F1A", RECIPIENT, Dsn("4.3.0", "a\0b"))
