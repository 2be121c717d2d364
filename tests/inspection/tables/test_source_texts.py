"""The texts of tables: what counts for nothing is found, at its line, however large."""

from __future__ import annotations

import tracemalloc

import pytest

from postvirt.inspection.problem import Problem
from postvirt.inspection.tables.dead_keys import how_to_give_a_value, why_never
from postvirt.inspection.tables.text_lines import MOST_BYTES, line_of, logical_lines_of
from tests.harness.child import in_child
from tests.harness.installations import Installation, problems_of, subject_of

MANY = 20_000


def written(installation: Installation, content: bytes, kind: str) -> None:
    path = installation.etc / "mailboxes"
    path.write_bytes(content)
    installation.set(virtual_mailbox_maps=f"{kind}:{path}")


def with_code(installation: Installation, code: str) -> list[Problem]:
    return [one for one in problems_of(installation) if one.code == code]


@pytest.mark.parametrize(
    "key",
    [
        b"bob@example.com",
        b"bob+list@example.com",
        b"@example.com",
        b"bob",
        b'"a b"@example.com',
        b"example.com",
        b"bob@[192.0.2.1]",
        "b\u00f6b@example.com".encode(),
    ],
)
def test_keys_that_are_looked_up(key: bytes) -> None:
    assert why_never(key, is_folded=False, utf8=True) == ""


@pytest.mark.parametrize("sign", ["=", ":", ",", ";", "|", "=>", "->"])
def test_a_sign_between_key_and_value(sign: str) -> None:
    for key in ("bob@example.com", "@example.com"):
        line = f"{key}{sign}example.com/bob/".encode()
        assert how_to_give_a_value(line).endswith(f": {key} example.com/bob/")


def test_a_no_break_space_between_key_and_value() -> None:
    line = "bob@example.com\u00a0example.com/bob/".encode()
    assert how_to_give_a_value(line).endswith("space: bob@example.com example.com/bob/")


@pytest.mark.parametrize("line", [b"bob@example.com", b"bob@example.com:", b"a=b", b""])
def test_there_may_be_no_value_at_all(line: bytes) -> None:
    assert how_to_give_a_value(line).startswith("write a value")


@pytest.mark.parametrize(
    ("key", "part"),
    [
        (b"Bob@example.com", "as bob@example.com"),
        ("B\u00d6B@example.com".encode(), "as b\u00f6b@example.com"),
        (b"<bob@example.com>", "without angle brackets: bob@example.com"),
        (b"bob@example.com,", "without the last character: bob@example.com"),
        (b"@.example.com", "no key for all subdomains"),
        (b"@*.example.com", "no key for all subdomains"),
        (b"bob@example.com.", "without its last dot: bob@example.com"),
        (b"@", "no domain"),
        ("bob@example.com\u00a0".encode(), "no-break space; write bob@example.com"),
    ],
)
def test_keys_that_are_not(key: bytes, part: str) -> None:
    assert part in why_never(key, is_folded=False, utf8=True)


def test_an_index_has_its_keys_in_lower_case() -> None:
    assert why_never(b"Bob@example.com", is_folded=True, utf8=True) == ""
    why = why_never(b"bob@example.com:", is_folded=True, utf8=True)
    assert why.endswith("without the last character: bob@example.com")
    # Without smtputf8_enable only A to Z are folded.
    key = "B\u00d6B@example.com".encode().replace(b"B", b"b")
    assert why_never(key, is_folded=False, utf8=False) == ""


@pytest.mark.root
def test_the_place_of_an_entry(installation: Installation) -> None:
    """The line is that of the file, comments and continuations counted."""
    written(
        installation,
        b"# mailboxes\nbob@example.com\n  bob/\n\nCarol@example.com c/\n",
        "texthash",
    )
    (found,) = with_code(installation, "PV115")
    assert found.origin.file == str(installation.etc / "mailboxes")
    assert (found.origin.line, found.origin.source) == (5, "Carol@example.com c/")


@pytest.mark.root
def test_many_mistakes_are_counted(installation: Installation) -> None:
    content = b"".join(b"*@example%d.com x/\n" % n for n in range(100))
    written(installation, content, "texthash")
    found = with_code(installation, "PV115")
    assert len(found) == 6
    assert "95 more entries like that" in found[-1].text


@pytest.mark.root
def test_all_duplicates_are_found_in_bounded_memory(installation: Installation) -> None:
    """Those that only have a hash in common are not taken for duplicates."""
    lines = [b"user%d@example.com example.com/user%d/\n" % (n, n) for n in range(MANY)]
    content = b"".join([*lines, lines[7], lines[MANY // 2].upper()])
    written(installation, content, "lmdb")  # there is no index, only the text

    def look() -> tuple[list[Problem], int]:
        # What it takes to have everything imported does not count.
        problems_of_text(installation)
        tracemalloc.start()
        found = problems_of_text(installation)
        return found, tracemalloc.get_traced_memory()[1]

    found, most_bytes = in_child(look)
    assert [(one.origin.line, one.text.rpartition(" ")[2]) for one in found] == [
        (MANY + 1, "8"),
        (MANY + 2, str(MANY // 2 + 1)),
    ]
    assert most_bytes < len(content) / 1.5


def problems_of_text(installation: Installation) -> list[Problem]:
    from postvirt.inspection.tables.source_texts import check_sources

    return list(check_sources(subject_of(installation)))


def test_a_line_of_a_file_that_is_not_there() -> None:
    assert line_of("/no/such/file", 1) == ""


def test_what_is_no_text_is_left_alone(installation: Installation) -> None:
    path = installation.etc / "mailboxes"
    path.write_bytes(b"x" * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match="line 1 is too long"):
        list(logical_lines_of(str(path)))
