"""Modified UTF-7, against RFC 3501 and Python's own UTF-7."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.modified_utf7 import decode, encode
from tests.harness.decoding import fuzzed

# Without surrogates, which are no characters.
names = st.text(
    st.one_of(
        st.sampled_from("&-+,/~ aZ\x00\x7f\x80ü\uffff\U0001f600"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=20,
)
forms = st.lists(
    st.one_of(
        st.sampled_from([b"&", b"-", b"&-", b"a", b"&APw-", b"&2D3eAA-", b"\xff"]),
        st.binary(max_size=3),
        st.text("&-+,AQgwz9", max_size=6).map(str.encode),
    ),
    max_size=6,
).map(b"".join)

WRITTEN = [
    ("INBOX", b"INBOX"),
    ("", b""),
    ("A&B", b"A&-B"),
    ("&&", b"&-&-"),
    ("Entwürfe", b"Entw&APw-rfe"),
    ("Grüße", b"Gr&APwA3w-e"),
    ("ü&ü", b"&APw-&-&APw-"),
    ("台北", b"&U,BTFw-"),  # of RFC 3501
    ("日本語", b"&ZeVnLIqe-"),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
    ("☺!", b"&Jjo-!"),
    ("台北日本語", b"&U,BTF2XlZyyKng-"),
    ("\N{GRINNING FACE}", b"&2D3eAA-"),
    ("a\tb", b"a&AAk-b"),
]


def of_python(name: str) -> bytes:
    """The same, with Python's codec for what is not printable ASCII."""

    def shifted(run: re.Match[str]) -> str:
        if run[0] == "&":
            return "&-"
        written = run[0].encode("utf-7").decode()
        assert written[0] == "+"
        return "&" + written[1:].removesuffix("-").replace("/", ",") + "-"

    # Python writes some characters of ASCII as they are, such as newline.
    assert not re.search("[\t\n\r]", name)
    return re.sub("&|[^ -~]+", shifted, name).encode()


@pytest.mark.parametrize(("name", "form"), WRITTEN)
def test_names_have_the_form_of_the_rfc(name, form):
    assert encode(name) == form
    assert decode(form) == name


@given(names)
@fuzzed
def test_names_come_back(name):
    form = encode(name)
    assert re.fullmatch(rb"[ -~]*", form)
    assert decode(form) == name


@given(names.map(lambda name: re.sub("[\t\n\r]", "", name)))
@fuzzed
def test_python_writes_the_same(name):
    assert encode(name) == of_python(name)


@given(forms)
@fuzzed
def test_each_name_has_one_form(form):
    try:
        name = decode(form)
    except ValueError:
        return
    assert encode(name) == form


@pytest.mark.parametrize(
    "form",
    [
        b"&Jjo!",  # of RFC 3501: it does not return to ASCII
        b"&U,BTFw-&ZeVnLIqe-",  # ... and a change of base64 to itself
        b"&",
        b"a&",
        b"&-&",
        b"&AGE-",  # "a" needs none of it
        b"&ACY-",
        b"&APw",
        b"&APx-",  # bits that are left over
        b"&AP-",  # half a character
        b"&2D0-",  # half a surrogate pair
        b"&A-",
        b"&APw=-",
        b"&U/BTFw-",  # "/" of base64
        "Grüße".encode(),
        b"a\tb",
        b"\x7f",
    ],
)
def test_other_forms_are_refused(form):
    with pytest.raises(ValueError):  # noqa: PT011 - of codecs, too
        decode(form)


def test_what_is_no_character_has_no_form():
    with pytest.raises(ValueError, match="surrogates"):
        encode("\udcff")
