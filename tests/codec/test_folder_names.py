from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.folder_names import (
    BadFolderNameError,
    directory_of,
    folded,
    folder_name,
    has_name,
    name_of,
)
from tests.harness.decoding import fuzzed

extensions = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12).map(lambda name: name.encode("utf-8", "surrogatepass")),
    st.text("aZ+-&.~#* /\\%\x00ü\u0308", max_size=8).map(str.encode),
)


@pytest.mark.parametrize(
    ("extension", "name", "directory"),
    [
        (b"Work", "Work", b".Work"),
        (b"a b", "a b", b".a b"),
        (b"a+b-c=d", "a+b-c=d", b".a+b-c=d"),
        (b"A&B", "A&B", b".A&-B"),
        (b"a~#", "a~#", b".a~#"),
        ("Grüße".encode(), "Grüße", b".Gr&APwA3w-e"),
        ("u\u0308".encode(), "ü", b".&APw-"),  # the composed form
        ("日本語".encode(), "日本語", b".&ZeVnLIqe-"),
        (b"inbox2", "inbox2", b".inbox2"),
        (b"x" * 199, "x" * 199, b"." + b"x" * 199),
    ],
)
def test_an_extension_names_a_folder(extension, name, directory):
    assert folder_name(extension) == name
    assert directory_of(name) == directory
    assert name_of(directory) == name


@pytest.mark.parametrize(
    ("extension", "why"),
    [
        (b"", "it is empty"),
        (b".", "it contains ."),
        (b"..", "it contains ."),
        (b"a.b", "it contains ."),
        (b"a/b", "it contains /"),
        (b"../../other", "it contains ."),
        (b"a\\b", "it contains \\"),
        (b"a%b", "it contains %"),
        (b"*", "it contains *"),
        (b"a\x00b", "it contains a character that is not printable"),
        (b"a\nb", "it contains a character that is not printable"),
        (b"a\x7fb", "it contains a character that is not printable"),
        ("a\x85b".encode(), "it contains a character that is not printable"),
        ("a\u202eb".encode(), "it contains a character that is not printable"),
        ("a\u2028b".encode(), "it contains a character that is not printable"),
        (b"\xff", "it is not UTF-8"),
        (b"\xc0\xae", "it is not UTF-8"),
        (b"\xed\xa0\x80", "it is not UTF-8"),
        (b"~root", "it begins with ~"),
        (b"#news", "it begins with #"),
        (b" a", "it begins or ends with a blank"),
        (b"a ", "it begins or ends with a blank"),
        (b"x" * 200, "it is too long"),
        ("ü".encode() * 80, "it is too long"),
        (b"inbox", "it is the INBOX itself"),
        (b"INBOX", "it is the INBOX itself"),
    ],
)
def test_an_extension_names_no_folder(extension, why):
    with pytest.raises(BadFolderNameError) as refused:
        folder_name(extension)
    assert str(refused.value) == why


@given(extensions)
@fuzzed
def test_no_extension_leads_out_of_the_maildir(extension):
    try:
        name = folder_name(extension)
    except BadFolderNameError:
        return
    directory = directory_of(name)
    assert directory.startswith(b".")
    assert not set(b"/.") & set(directory[1:])
    assert directory[1:]
    assert len(directory) <= 200
    assert directory.isascii()
    assert name_of(directory) == name


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        (b".Work", "Work"),
        (".Grüße".encode(), "Grüße"),  # Courier's
        (b".Work.Sub", ""),
        (b".", ""),
        (b"..", ""),
        (b"cur", ""),
        (b".A&B", "A&B"),
        (b".A&-B", "A&B"),
        (b".\xff", ""),
    ],
)
def test_the_name_of_a_directory(directory, name):
    assert name_of(directory) == name


@pytest.mark.parametrize(
    ("one", "other"), [("Work", "wORK"), ("GRÜSSE", "grüße"), ("Ü", "u\u0308")]
)
def test_case_and_form_do_not_matter(one, other):
    assert folded(one) == folded(other)


@given(
    st.text("aZ&ßSK\u017f\N{KELVIN SIGN}ü\u0308", min_size=1, max_size=3),
    st.text("aZ&ßSK\u017f\N{KELVIN SIGN}ü\u0308.", max_size=3),
    st.booleans(),
)
@fuzzed
def test_directories_are_compared_by_their_names(name, other, utf8):
    directory = b"." + other.encode() if utf8 else directory_of(other)
    called = name_of(directory)
    assert has_name(name)(directory) == (folded(called) == folded(name))
