"""Delivery requests and replies."""

from __future__ import annotations

import base64
import struct
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.attributes import MAX_STRING_BYTES, NeedData
from postvirt.codec.delivery import (
    MAX_RECIPIENTS,
    MAX_REQUEST_BYTES,
    RECIPIENT_FIELDS,
    REQUEST_FIELDS,
    RequestDecoder,
    decode_reply,
    encode_reply,
    encode_request,
)
from postvirt.errors import ProtocolError
from postvirt.model.request import (
    DeliveryRequest,
    MessageStats,
    Recipient,
    RequestFlag,
)
from tests.harness.decoding import (
    attribute_strings,
    fuzzed,
    in_bounded_memory,
    mutated,
)
from tests.harness.times import moment

STATS = base64.b64encode(struct.pack("=10qi4x", *range(1, 12)))
COMMON = (
    (b"flags", b"8195"),
    (b"queue_name", b"active"),
    (b"queue_id", b"3F1A2B4C5D"),
    (b"offset", b"541"),
    (b"size", b"4294967296"),
    (b"nexthop", b"example.com"),
    (b"encoding", b"8bit"),
    (b"smtputf8", b"1"),
    (b"sender", b"sender@example.org"),
    (b"envelope_id", b"envelope"),
    (b"ret_flags", b"2"),
    (b"time", STATS),
    (b"log_client_name", b"client.example.org"),
    (b"log_client_address", b"192.0.2.1"),
    (b"log_client_port", b"12345"),
    (b"log_protocol_name", b"ESMTP"),
    (b"log_helo_name", b"helo.example.org"),
    (b"sasl_method", b"plain"),
    (b"sasl_username", b"user"),
    (b"sasl_sender", b"sasl@example.org"),
    (b"log_ident", b"ident"),
    (b"rewrite_context", b"remote"),
    (b"recipient_count", b"2"),
)
FIRST = (
    (b"original_recipient", b"old@example.com"),
    (b"recipient", b"new@example.com"),
    (b"offset", b"77"),
    (b"dsn_orig_rcpt", b"rfc822;old@example.com"),
    (b"notify_flags", b"6"),
)
SECOND = (
    (b"original_recipient", b""),
    (b"recipient", b"\xff\xfe@example.com"),
    (b"offset", b"18446744073709551615"),
    (b"dsn_orig_rcpt", b""),
    (b"notify_flags", b"0"),
)
REQUEST = DeliveryRequest(
    flags=RequestFlag.SUCCESS | RequestFlag.BOUNCE | RequestFlag.REC_DLY_SENT,
    queue_name=b"active",
    queue_id=b"3F1A2B4C5D",
    data_offset=541,
    data_size=1 << 32,
    nexthop=b"example.com",
    encoding=b"8bit",
    sendopts=1,
    sender=b"sender@example.org",
    envelope_id=b"envelope",
    ret_flags=2,
    stats=MessageStats(
        moment(1, 2),
        moment(3, 4),
        moment(5, 6),
        moment(7, 8),
        moment(9, 10),
        11,
    ),
    client_name=b"client.example.org",
    client_address=b"192.0.2.1",
    client_port=b"12345",
    client_protocol=b"ESMTP",
    client_helo=b"helo.example.org",
    sasl_method=b"plain",
    sasl_username=b"user",
    sasl_sender=b"sasl@example.org",
    log_ident=b"ident",
    rewrite_context=b"remote",
    recipients=(
        Recipient(
            original_recipient=b"old@example.com",
            address=b"new@example.com",
            offset=77,
            dsn_original_recipient=b"rfc822;old@example.com",
            notify_flags=6,
        ),
        Recipient(original_recipient=b"", address=b"\xff\xfe@example.com", offset=-1),
    ),
)


@pytest.mark.parametrize(
    ("table", "kind"),
    [(REQUEST_FIELDS, DeliveryRequest), (RECIPIENT_FIELDS, Recipient)],
)
def test_the_fields_are_in_the_order_in_which_they_are_sent(table, kind):
    assert table.into == list(kind._fields)


def wire_list(attributes) -> bytes:
    return b"".join(n + b"\0" + v + b"\0" for n, v in attributes) + b"\0"


def changed(attributes, name: bytes, value: bytes, new_name: bytes = b""):
    return tuple((new_name or n, value) if n == name else (n, v) for n, v in attributes)


WIRE = wire_list(COMMON) + wire_list(FIRST) + wire_list(SECOND)


def decoded(data: bytes) -> DeliveryRequest | NeedData:
    decoder = RequestDecoder("virtual socket")
    decoder.feed(data)
    return decoder.next()


def test_the_request_is_23_attributes_and_a_list_per_recipient():
    assert len(COMMON) == 23
    assert encode_request(REQUEST) == WIRE


def test_the_request_decodes_at_once_and_ignores_what_follows():
    assert decoded(WIRE) == REQUEST
    assert decoded(WIRE + b"stranger") == REQUEST


def test_the_request_decodes_byte_by_byte():
    decoder = RequestDecoder("virtual socket")
    common_size = len(wire_list(COMMON))
    for end in range(len(WIRE)):
        assert isinstance(decoder.next(), NeedData)
        assert decoder.part == ("common" if end < common_size else "recipient")
        decoder.feed(WIRE[end : end + 1])
    assert decoder.next() == REQUEST


def test_what_is_missing_is_named():
    assert decoded(b"") is NeedData.LIST
    assert decoded(WIRE[:3]) is NeedData.NAME
    assert decoded(WIRE[:7]) is NeedData.VALUE
    assert decoded(wire_list(COMMON)) is NeedData.LIST


def test_the_end_of_the_input_is_told_from_a_timeout():
    decoder = RequestDecoder("virtual socket")
    decoder.feed(b"flags\0")
    wanted = decoder.next()
    assert isinstance(wanted, NeedData)
    for what in ("premature end-of-input", "timeout"):
        assert str(decoder.end(wanted, what)) == (
            f"{what} on virtual socket while reading input attribute value"
        )


def test_sendopts_is_the_name_of_the_eighth_attribute_since_postfix_3_10():
    renamed = changed(COMMON, b"smtputf8", b"1", b"sendopts")
    assert decoded(wire_list(renamed) + WIRE[len(wire_list(COMMON)) :]) == REQUEST


@pytest.mark.parametrize("count", [b"0", b"4294967295"])
def test_a_request_may_come_without_recipients(count):
    request = decoded(wire_list(changed(COMMON, b"recipient_count", count)))
    assert isinstance(request, DeliveryRequest)
    assert request.recipients == ()


def test_too_many_recipients_are_refused_before_they_are_read():
    count = b"%d" % (MAX_RECIPIENTS + 1)
    with pytest.raises(ProtocolError, match=r"100001 recipients .* virtual socket"):
        decoded(wire_list(changed(COMMON, b"recipient_count", count)))


LONGEST = b"x" * (MAX_STRING_BYTES - 1)
# What a client may send without end, and what becomes of it.
ENDLESS = {
    "one name": (LONGEST, b"", "string longer than 65536 bytes"),
    "one value": (LONGEST, b"flags\0", "string longer than 65536 bytes"),
    "attributes": (LONGEST + b"\0", b"", "unexpected attribute xxx"),
    "large recipients": (
        wire_list(changed(FIRST, b"recipient", LONGEST)),
        wire_list(changed(COMMON, b"recipient_count", b"100000")),
        f"request longer than {MAX_REQUEST_BYTES} bytes",
    ),
    "small recipients": (
        wire_list(SECOND) * 1000,
        wire_list(changed(COMMON, b"recipient_count", b"100000")),
        "",
    ),
}


@pytest.mark.parametrize(("piece", "start", "complaint"), ENDLESS.values(), ids=ENDLESS)
def test_a_client_cannot_make_the_decoder_hold_any_amount_of_memory(
    piece, start, complaint
):
    def converse() -> tuple[int, str]:
        decoder = RequestDecoder("virtual socket")
        decoder.feed(start)
        try:
            while isinstance(request := decoder.next(), NeedData):
                decoder.feed(piece)
        except ProtocolError as error:
            return 0, str(error)
        return len(request.recipients), ""

    count, text = in_bounded_memory(converse, 2 * MAX_REQUEST_BYTES)
    assert (count, bool(text)) == ((0, True) if complaint else (MAX_RECIPIENTS, False))
    assert text.startswith(complaint)


def test_many_recipients_do_not_stay_in_the_input_buffer():
    count = 3000
    common = wire_list(changed(COMMON, b"recipient_count", b"%d" % count))
    data = common + wire_list(FIRST) * count
    decoder = RequestDecoder("virtual socket")
    for start in range(0, len(data), 10_000):
        request = decoder.next()
        assert isinstance(request, NeedData)
        assert len(decoder._buffer) < len(wire_list(FIRST))
        decoder.feed(data[start : start + 10_000])
    request = decoder.next()
    assert isinstance(request, DeliveryRequest)
    assert len(request.recipients) == count
    assert set(request.recipients) == {REQUEST.recipients[0]}


def test_bad_common_attributes_are_told_from_a_bad_recipient():
    decoder = RequestDecoder("virtual socket")
    decoder.feed(wire_list(changed(COMMON, b"time", base64.b64encode(b"short"))))
    with pytest.raises(ProtocolError, match="size mis-match: 5 != 88"):
        decoder.next()
    assert decoder.part == "common"

    decoder = RequestDecoder("virtual socket")
    decoder.feed(wire_list(COMMON) + b"recipient\0")
    with pytest.raises(ProtocolError, match=r"recipient .*original_recipient\)"):
        decoder.next()
    assert decoder.part == "recipient"


def test_every_common_attribute_is_required_in_its_place():
    for index, (name, _) in enumerate(COMMON):
        with pytest.raises(ProtocolError, match=name.decode()):
            decoded(wire_list(COMMON[:index] + COMMON[index + 1 :]))


numbers = st.integers(-(1 << 31), (1 << 31) - 1)
longs = st.integers(-(1 << 63), (1 << 63) - 1)
times = st.builds(moment, longs, st.integers(0, 999_999))
recipients = st.builds(
    Recipient,
    original_recipient=attribute_strings,
    address=attribute_strings,
    offset=longs,
    dsn_original_recipient=attribute_strings,
    notify_flags=numbers,
)
strings = {
    name: attribute_strings
    for name, kind in get_type_hints(DeliveryRequest).items()
    if kind is bytes
}
requests = st.builds(
    DeliveryRequest,
    flags=st.integers(0, (1 << 31) - 1).map(RequestFlag),
    data_offset=longs,
    data_size=longs,
    sendopts=numbers,
    ret_flags=numbers,
    stats=st.builds(MessageStats, *[times] * 5, numbers),
    recipients=st.lists(recipients, max_size=3).map(tuple),
    **strings,
)


@given(requests)
@fuzzed
def test_what_is_encoded_comes_back(request):
    assert decoded(encode_request(request)) == request


@given(st.one_of(mutated(WIRE), st.binary(max_size=200)), st.integers(1, 64))
@fuzzed
def test_any_input_gives_a_request_need_data_or_a_protocol_error(data, step):
    decoder = RequestDecoder("virtual socket")
    for start in range(0, len(data) + 1, step):
        decoder.feed(data[start : start + step])
        try:
            result = decoder.next()
        except ProtocolError:
            return
        assert isinstance(result, DeliveryRequest | NeedData)
        if isinstance(result, DeliveryRequest):
            return


# Lists that are nearly right: known names in any order, values that hurt.
words = st.sampled_from(
    [*{name for name, _ in (*COMMON, *FIRST)}, b"sendopts", b"", b"\xff", b"extra"]
)
values = st.one_of(
    st.sampled_from([b"", b"0", b"-1", b"99999999999999999999", b"x" * 70_000, STATS]),
    st.sampled_from([value for _, value in (*COMMON, *FIRST)]),
    attribute_strings,
)
some_attributes = st.lists(st.tuples(words, values), max_size=5)
known_attributes = st.sampled_from([COMMON, FIRST, SECOND])


@given(st.lists(st.one_of(known_attributes, some_attributes), max_size=6))
@fuzzed
def test_any_lists_give_a_request_need_data_or_a_protocol_error(lists):
    try:
        result = decoded(b"".join(map(wire_list, lists)))
    except ProtocolError:
        return
    assert isinstance(result, DeliveryRequest | NeedData)
    if isinstance(result, DeliveryRequest):
        assert decoded(encode_request(result)) == result


REPLY = (
    b"status\0\0diag_type\0\0diag_text\0\0mta_type\0\0mta_mname\0\0action\0\0reason\0\0"
)


@pytest.mark.parametrize(
    ("status", "wire"), [(0, b"status\x000\0\0"), (-1, b"status\x004294967295\0\0")]
)
def test_the_reply_is_an_empty_status_of_the_next_hop_and_our_own(status, wire):
    reply = REPLY + wire
    assert encode_reply(status) == reply
    assert decode_reply(reply, 0, "socket") == status
    assert decode_reply(reply + b"more", 0, "socket") == status
    assert decode_reply(b"before" + reply, 6, "socket") == status
    for end in range(len(reply)):
        assert isinstance(decode_reply(reply[:end], 0, "socket"), NeedData)
