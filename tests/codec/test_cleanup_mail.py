"""What is sent to cleanup(8), and what it says."""

from __future__ import annotations

import pytest

from postvirt.codec.attributes import NeedData
from postvirt.codec.cleanup_mail import decode_answer, decode_greeting, encode_mail
from postvirt.codec.records import decode_content
from postvirt.errors import ProtocolError

_PEER = "public/cleanup socket"
# As cleanup(8) of Postfix 3.7 and 3.5 send it.
_GREETINGS = (
    b"protocol\0cleanup_protocol\0queue_id\x003F1A2B0001\0\0",
    b"queue_id\x003F1A2B0001\0\0",
)
_ANSWER = b"status\x000\0reason\0\0\0"


@pytest.mark.parametrize("greeting", _GREETINGS)
def test_a_greeting(greeting: bytes) -> None:
    for end in range(len(greeting)):
        assert isinstance(decode_greeting(greeting[:end], 0, _PEER), NeedData)
    assert decode_greeting(greeting, 0, _PEER) == len(greeting)
    assert decode_greeting(b"x" + greeting, 1, _PEER) == len(greeting) + 1


def test_the_greeting_of_another_service() -> None:
    greeting = b"protocol\0delivery_status_protocol\0queue_id\0a\0\0"
    with pytest.raises(ProtocolError, match="unexpected protocol"):
        decode_greeting(greeting, 0, _PEER)
    with pytest.raises(ProtocolError):
        decode_greeting(b"protocol\0delivery_status_protocol\0\0", 0, _PEER)


def test_an_answer() -> None:
    for end in range(len(_ANSWER)):
        assert isinstance(decode_answer(_ANSWER[:end], 0, _PEER), NeedData)
    assert decode_answer(_ANSWER, 0, _PEER) == 0
    assert decode_answer(b"status\x002\0reason\0full\0\0", 0, _PEER) == 2


def test_a_message() -> None:
    long = b"x" * 200
    data = encode_mail(b"postmaster@example.com", b"Subject: a\n\n%b\n" % long, 17)
    assert data.startswith(
        b"flags\x0032\0\0T\x0417 0A\x18log_message_origin=localS\x00"
        b"R\x16postmaster@example.comM\x00N\x0aSubject: a"
    )
    assert data.endswith(b"X\x00E\x00")
    content = data[data.index(b"M\x00") + 2 :]
    assert b"".join(decode_content(content).pieces) == b"Subject: a\n\n%b\n" % long
