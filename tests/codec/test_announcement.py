"""What a service says first, since Postfix 3.6."""

import pytest

from postvirt.codec import announcement
from postvirt.codec.announcement import decode_announcement, encode_announcement
from postvirt.codec.attributes import NeedData
from postvirt.errors import ProtocolError
from tests.harness.decoding import check_decoder

PROTOCOLS = {
    "DELIVERY_REQUEST": b"delivery_request_protocol",
    "DELIVERY_STATUS": b"delivery_status_protocol",
    "ADDRESS_VERIFICATION": b"address_verification_prrotocol",
    "QUEUE_FLUSH": b"queue_flush_protocol",
}


@pytest.mark.parametrize("constant", PROTOCOLS)
def test_the_announcement_is_one_attribute(constant):
    name = PROTOCOLS[constant]
    assert getattr(announcement, constant) == name
    wire = encode_announcement(name)
    assert wire == b"protocol\0" + name + b"\0\0"

    def decode(buffer, start):
        end = decode_announcement(name, buffer, start, "socket")
        return end if isinstance(end, NeedData) else (None, end)

    check_decoder(decode, wire, None)


def test_another_protocol_is_an_error_that_names_both():
    with pytest.raises(ProtocolError) as error:
        decode_announcement(b"a", encode_announcement(b"b"), 0, "private/x socket")
    expected = "unexpected protocol b from private/x socket (expected: a)"
    assert str(error.value) == expected


def test_the_greeting_of_postfix_3_5_is_no_announcement():
    with pytest.raises(ProtocolError, match="unexpected attribute status"):
        decode_announcement(b"a", b"status\x000\0\0", 0, "socket")
