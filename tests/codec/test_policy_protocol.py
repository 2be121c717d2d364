"""Requests of smtpd(8) to a policy service."""

from __future__ import annotations

import pytest

from postvirt.codec.policy_protocol import (
    MAX_REQUEST_BYTES,
    PolicyDecoder,
    PolicyRequest,
    encode_action,
)
from postvirt.errors import ProtocolError

# As smtpd(8) of Postfix 3.7 sends it.
_WIRE = b"""request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=127.0.0.1
client_name=localhost
client_port=47252
reverse_client_name=localhost
server_address=127.0.0.1
server_port=25
helo_name=client.example
sender=a=b@example.org
recipient=bob=x@example.com
recipient_count=0
queue_id=
instance=1d2e.5f9b.0
size=12345
etrn_domain=
stress=
sasl_method=
ccert_subject=
encryption_keysize=0
policy_context=

"""
_REQUEST = PolicyRequest(b"smtpd_access_policy", b"RCPT", b"bob=x@example.com", 12345)


def _decoded(*pieces: bytes) -> list[PolicyRequest]:
    decoder = PolicyDecoder()
    found = []
    for piece in pieces:
        decoder.feed(piece)
        while request := decoder.next():
            found.append(request)
    return found


def test_a_request_of_smtpd() -> None:
    assert _decoded(_WIRE) == [_REQUEST]


def test_one_byte_at_a_time() -> None:
    assert _decoded(*(bytes([byte]) for byte in _WIRE)) == [_REQUEST]


def test_one_after_the_other() -> None:
    assert _decoded(_WIRE + _WIRE[:10], _WIRE[10:]) == [_REQUEST, _REQUEST]


def test_what_is_between_requests() -> None:
    decoder = PolicyDecoder()
    assert decoder.is_between
    decoder.feed(_WIRE[:-1])
    assert decoder.next() is None
    assert not decoder.is_between
    decoder.feed(_WIRE[-1:])
    assert decoder.next()
    assert decoder.is_between


def test_attributes_that_are_missing_are_empty() -> None:
    assert _decoded(b"x=y\n\n") == [PolicyRequest(b"", b"", b"", 0)]


@pytest.mark.parametrize("size", [b"", b"-1", b"1e9", b" 1", b"9" * 19, b"9" * 5000])
def test_a_size_that_makes_no_sense_is_unknown(size: bytes) -> None:
    assert _decoded(b"size=%b\n\n" % size)[0].size_bytes == 0


@pytest.mark.parametrize("wire", [b"\n", b"\n\n", b"no equals sign\n\n", b"a=b\nc\n\n"])
def test_nonsense(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        _decoded(wire)


def test_an_endless_request() -> None:
    decoder = PolicyDecoder()
    decoder.feed(b"sender=" + b"x" * (MAX_REQUEST_BYTES - 8))
    assert decoder.next() is None
    decoder.feed(b"x")
    with pytest.raises(ProtocolError):
        decoder.next()


def test_an_answer() -> None:
    assert encode_action(b"DUNNO") == b"action=DUNNO\n\n"


def test_an_answer_is_one_line() -> None:
    action = b"552 5.2.2 full\n\naction=OK\r\n\tcome again"
    assert encode_action(action) == (b"action=552 5.2.2 full action=OK come again\n\n")
