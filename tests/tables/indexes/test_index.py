"""Tables of every kind of file, against `postmap -q` and virtual(8)'s own lookups."""

from __future__ import annotations

import os
import random
import string

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.installed_postfix import VERSION
from tests.harness.tables import open_table

QUERY = TableOptions(utf8=True, fold=True, warn_duplicates=True)
VIRTUAL = TableOptions(utf8=True, paranoid=True)
FILES = ("cdb", "hash", "btree", "lmdb", "texthash")


def random_words(count: int) -> list[str]:
    """Keys with letters that fold in interesting ways."""
    source = random.Random(7)
    letters = string.ascii_letters + string.digits + '.+-_=@"\\éÉßςΣİ\u017f\u0131\u212a'
    return [
        "".join(source.choices(letters, k=source.randint(1, 12))) for _ in range(count)
    ]


SOURCE = (
    "\n".join(f"{word} value-{number}" for number, word in enumerate(random_words(400)))
    + """
# comment
User@Example.COM   Capital/
user2@example.com  two words \t
"quoted key"@example.com  quoted/
folded@example.com
   continued/
  # a comment within
   twice/
key-without-value
"unbalanced value
alias: format
trailing-cr value\r
\tindented line
"""
).encode()
KEYS = [
    *(word.encode() for word in random_words(600)),
    b"user@example.com",
    b"USER@EXAMPLE.com",
    b"user2@example.com",
    b'"quoted key"@example.com',
    b"folded@example.com",
    b"key-without-value",
    b"alias:",
    b"trailing-cr",
    b"indented",
    b"none",
]


@pytest.mark.postfix
@pytest.mark.parametrize("utf8", ["yes", "no"])
@pytest.mark.parametrize("type_", FILES)
def test_lookups_answer_as_postmap_does(postfix, logged, tmp_path, type_, utf8):
    postfix.configure(smtputf8_enable=utf8)
    path = tmp_path / "table"
    source, keys = SOURCE, KEYS
    if type_ == "texthash" and VERSION >= (3, 11):
        # Its postmap folds other letters of the keys that it looks up, but not of those
        # in the table.
        source = b"".join(line for line in SOURCE.splitlines(True) if line.isascii())
        keys = [key for key in KEYS if key.isascii()]
    path.write_bytes(source)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    spec = f"{type_}:{path}"
    if type_ != "texthash":
        postfix.postmap(spec)
    options = TableOptions(utf8=utf8 == "yes", fold=True, warn_duplicates=True)
    table = open_table(spec, options)
    expected = postfix.query_all(spec, keys)
    assert len(expected) > len(keys) // 3
    assert {key: table.lookup(key) for key in keys} == {
        key: expected.get(key) for key in keys
    }
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", FILES)
def test_lookups_answer_as_virtual_does(postfix, logged, tmp_path, type_):
    path = tmp_path / "table"
    path.write_bytes(SOURCE)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    spec = f"{type_}:{path}"
    if type_ == "texthash":
        # virtual(8) accepts no duplicate; random words have some.
        lines = {line.split(b" ")[0].lower(): line for line in SOURCE.split(b"\n")}
        path.write_bytes(b"\n".join(lines.values()) + b"\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
    else:
        postfix.postmap(spec)
    table = open_table(spec, VIRTUAL)
    expected, _ = postfix.ask("key", KEYS, maps=spec)
    assert sum(value is not None for value in expected) > 40
    assert [table.lookup(key) for key in KEYS] == expected
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_a_key_of_any_length_is_found_or_not_found(index, type_):
    longest = b"k" * 510
    table = open_table(index(type_, longest + b" value\n"), VIRTUAL)
    assert table.lookup(longest) == b"value"
    assert table.lookup(b"k" * 511) is None
    assert table.lookup(b"k" * 5000) is None
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_an_index_that_is_older_than_its_source_is_reported(
    postfix, index, logged, type_
):
    spec = index(type_, b"a@b x\n")
    path = spec.partition(":")[2]
    suffix = "lmdb" if type_ == "lmdb" else "db"
    os.utime(f"{path}.{suffix}", (900_000_000, 900_000_000))
    _, lines = postfix.ask("key", [], maps=spec)
    open_table(spec, VIRTUAL).close()
    assert len(lines) == 1
    assert logged.take() == lines


@pytest.mark.postfix
@pytest.mark.parametrize("content", [b"", b"text\n", b"\0" * 8192])
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_a_file_that_is_no_index_is_an_error_as_in_postfix(
    postfix, tmp_path, logged, type_, content
):
    suffix = "lmdb" if type_ == "lmdb" else "db"
    (tmp_path / f"table.{suffix}").write_bytes(content)
    spec = f"{type_}:{tmp_path}/table"
    [expected], lines = postfix.ask("key", [b"key"], maps=spec)
    assert isinstance(expected, int)
    table = open_table(spec, VIRTUAL)
    with pytest.raises(TableError):
        table.lookup(b"key")
    # The last line of Postfix's is that of its list of tables.
    assert logged.take() == lines[:-1]


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_a_truncated_index_is_never_not_found(index, logged, type_):
    """Postfix does not find the key (hash, btree) or dies of SIGBUS (lmdb)."""
    source = b"".join(b"user%d@example.com mailbox%d/\n" % (n, n) for n in range(500))
    spec = index(type_, source)
    path = f"{spec.partition(':')[2]}.{'lmdb' if type_ == 'lmdb' else 'db'}"
    for kept in range(os.stat(path).st_size - 4096, -1, -4096):
        os.truncate(path, kept)
        table = open_table(spec, VIRTUAL)
        with pytest.raises(TableError):
            table.lookup(b"none@example.com")


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree"])
def test_an_index_of_another_type_is_an_error(index, logged, type_):
    spec = index("btree" if type_ == "hash" else "hash", b"a@b x\n")
    path = spec.partition(":")[2]
    table = open_table(f"{type_}:{path}", VIRTUAL)
    with pytest.raises(TableError, match="Invalid argument"):
        table.lookup(b"a@b")


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
@pytest.mark.parametrize(("before", "after"), [(10, 2000), (2000, 10), (500, 700)])
def test_a_table_that_is_rewritten_while_open_answers_from_the_new_file(
    index, type_, before, after
):
    def source(count: int, tag: bytes) -> bytes:
        return b"".join(
            b"user%d@example.com %s%d\n" % (n, tag, n) for n in range(count)
        )

    spec = index(type_, source(before, b"old"))
    table = open_table(spec, VIRTUAL)
    for number in range(before):
        assert table.lookup(b"user%d@example.com" % number) == b"old%d" % number
    index(type_, source(after, b"new"))
    for number in range(after):
        assert table.lookup(b"user%d@example.com" % number) == b"new%d" % number
    assert table.changed() is (type_ != "lmdb")
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_a_table_can_be_open_twice(index, type_):
    spec = index(type_, b"a@b x\n")
    first = open_table(spec, VIRTUAL)
    second = open_table(spec, QUERY)
    assert first.lookup(b"a@b") == second.lookup(b"A@B") == b"x"
    first.close()
    assert second.lookup(b"a@b") == b"x"
    second.close()
    third = open_table(spec, VIRTUAL)
    assert third.lookup(b"a@b") == b"x"
    third.close()


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["hash", "btree", "lmdb"])
def test_no_descriptor_is_left_open(index, type_):
    spec = index(type_, b"a@b x\n")
    before = set(os.listdir("/proc/self/fd"))
    table = open_table(spec, VIRTUAL)
    assert table.lookup(b"a@b") == b"x"
    table.close()
    assert set(os.listdir("/proc/self/fd")) == before
