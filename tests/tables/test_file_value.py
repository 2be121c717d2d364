"""Values that are names of files, against `postmap -F`."""

from __future__ import annotations

import subprocess

import pytest

from postvirt.errors import TableError
from postvirt.tables.file_value import decoded
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

QUERY = TableOptions(utf8=True, fold=True, file_values=True, must_open=True)


@pytest.fixture
def files(tmp_path):
    """Two files and a way to name them."""
    (tmp_path / "one").write_bytes(b"first\n\xff$1")
    (tmp_path / "two").write_bytes(b"second")
    return tmp_path


def postmap(postfix, *arguments):
    done = subprocess.run(
        ["postmap", "-F", "-c", postfix.directory, *arguments],
        capture_output=True,
        check=False,
    )
    if b"fatal" in done.stderr:
        return "error"
    return done.stdout.removesuffix(b"\n") if done.returncode == 0 else None


def ours(spec, key=b"a"):
    try:
        value = open_table(spec, QUERY).lookup(key)
        return None if value is None else decoded(value)
    except (TableError, ValueError):
        return "error"


@pytest.mark.postfix
@pytest.mark.parametrize(
    "form",
    [
        "static:{%s/one %s/two}",
        "static:{%s/one,%s/none}",
        "inline:{{a=%s/one}, b=%s/two}",
        "randmap:{%s/one,%s/one}",
        "regexp:{{/(a)/ %s/one, %s/two}}",
        "regexp:{{/b/ %s/two}, {/a/ %s}}",
        "pcre:{{/(a)/ %s/none}, {/a/ %s/one}}",
        "pipemap:{inline:{a=%s/one}, inline:{x=%s/one}}",
    ],
)
def test_values_in_names_of_tables_are_read_as_postmap_reads_them(
    postfix, logged, files, form
):
    spec = form.replace("%s", str(files))
    assert ours(spec) == postmap(postfix, "-q", "a", spec)


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["texthash", "hash", "cdb", "cidr"])
def test_values_in_files_are_read_as_postmap_reads_them(
    postfix, logged, files, text_table, type_
):
    source = b"192.0.2.1 %s/one, %s/two\n192.0.2.2 %s/none\n192.0.2.3 %s\n"
    spec = f"{type_}:{text_table(source.replace(b'%s', bytes(files)))}"
    if type_ in ("hash", "cdb"):
        assert postmap(postfix, spec) == b""
    for key in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert ours(spec, key.encode()) == postmap(postfix, "-q", key, spec)


def test_a_value_that_is_no_base64_is_an_error():
    with pytest.raises(ValueError, match="malformed BASE64 value: a b"):
        decoded(b"a b")
