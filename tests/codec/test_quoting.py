"""Quoting of local parts, against quote_822_local() of the genuine libraries."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.quoting import quote_local, unquote_local
from tests.harness.decoding import fuzzed
from tests.harness.libpostfix import ask

addresses = st.lists(
    st.one_of(
        st.sampled_from(
            [b"@", b".", b"..", b'"', b"\\", b" ", b"\r", b":", b"a", b"]"]
        ),
        st.binary(min_size=1, max_size=3),
    ),
    max_size=8,
).map(b"".join)


def reference(address: bytes, bare: bool) -> bytes:
    """RFC 822: local part = word *("." word); a word here is an atom."""
    route = b""
    if address[:1] == b"@" and b":" in address:
        route, address = address[: address.index(b":") + 1], address.split(b":", 1)[1]
    local, at, domain = (address, b"", b"") if bare else _split(address)
    if all(_is_atom(word) for word in local.split(b".")):
        return route + address
    quoted = b"".join(
        b"\\" + bytes([byte]) if byte in b'"\\\r' else bytes([byte]) for byte in local
    )
    return route + b'"' + quoted + b'"' + at + domain


def _split(address: bytes) -> tuple[bytes, bytes, bytes]:
    local, at, domain = address.rpartition(b"@")
    return (local, at, domain) if at else (address, b"", b"")


def _is_atom(word: bytes) -> bool:
    return bool(word) and all(
        byte > 32 and byte != 127 and byte not in b'()<>@,;:\\".[]' for byte in word
    )


@given(addresses, st.booleans())
@fuzzed
def test_local_parts_are_quoted_when_they_are_no_dotted_atoms(address, bare):
    assert quote_local(address, bare_local_part=bare) == reference(address, bare)


@pytest.mark.parametrize(
    ("address", "quoted"),
    [
        (b"user@example.com", b"user@example.com"),
        (b"first.last@example.com", b"first.last@example.com"),
        (b"us er@example.com", b'"us er"@example.com'),
        (b".user@example.com", b'".user"@example.com'),
        (b"user.@example.com", b'"user."@example.com'),
        (b"a..b@example.com", b'"a..b"@example.com'),
        (b"a@b@example.com", b'"a@b"@example.com'),
        (b'a"b\\c@example.com', b'"a\\"b\\\\c"@example.com'),
        (b"a\rb@example.com", b'"a\\\rb"@example.com'),
        (b"a\nb@example.com", b'"a\nb"@example.com'),
        ("é@example.com".encode(), "é@example.com".encode()),
        (b"\xff@example.com", b"\xff@example.com"),
        (b"@relay:user@example.com", b"@relay:user@example.com"),
        (b"@relay:us er@example.com", b'@relay:"us er"@example.com'),
        (b"@example.com", b'""@example.com'),
        (b"us er", b'"us er"'),
        (b"", b'""'),
    ],
)
def test_examples(address, quoted):
    assert quote_local(address) == quoted


def test_without_a_domain_every_at_is_quoted():
    assert quote_local(b"a@b", bare_local_part=True) == b'"a@b"'


@pytest.mark.postfix
def test_quoting_is_postfix_quoting():
    chance = random.Random(1)
    every_byte = [b"a%cb@example.com" % byte for byte in range(1, 256)]
    pieces = [b"@", b".", b'"', b"\\", b" ", b":", b"a", b"\r", b"\n", b"\xc3\xa9"]
    pairs = [b"".join(pair) for pair in itertools.product(pieces, repeat=3)]
    long = [
        b"".join(chance.choices(pieces, k=chance.randint(0, 12))) for _ in range(600)
    ]
    cases = [
        (address, bare)
        for address in every_byte + pairs + long
        for bare in (False, True)
    ]
    answers = ask([("quote", *case) for case in cases])
    for (address, bare), answer in zip(cases, answers, strict=True):
        ours = quote_local(address, bare_local_part=bare)
        assert ours == answer.result.encode("latin-1"), (address, bare)


@pytest.mark.parametrize(
    ("external", "internal"),
    [
        (b"a@b.c", b"a@b.c"),
        (b'"a b"@c', b"a b@c"),
        (rb'"a\"\\b"@c', b'a"\\b@c'),
        (b'"a@b"@c', b"a@b@c"),
        (b'"alone"', b"alone"),
        (b'"open@c', b'"open@c'),
        (b"@c", b"@c"),
        (b"", b""),
    ],
)
def test_unquoted(external: bytes, internal: bytes) -> None:
    assert unquote_local(external) == internal
