"""Parameters in a file of their own and in main.cf."""

from __future__ import annotations

import os

import pytest

from postvirt.errors import TableError
from postvirt.tables.complaint import ignore_complaint, log_complaint
from postvirt.tables.databases.cf_file import CfParameters


def of_file(path, complain=log_complaint):
    return CfParameters(path, lambda _: None, complain)


def of_main_cf(**values):
    """The parameters of the table "users", whose names begin with "users_"."""
    names = {f"users_{name}": value for name, value in values.items()}
    return CfParameters("users", names.get)


def test_the_file_has_the_syntax_of_main_cf(text_table):
    path = text_table(
        b"# comment\na = 1,\n  2\n\nb=$a\nempty =\r\nlast = x\nlast = x\n\xff=\xfe"
    )
    parameters = of_file(path)
    assert parameters.text("a") == "1,  2"
    assert parameters.text("b") == "$a"
    assert parameters.text("empty", "default") == ""
    assert parameters.text("missing", "default") == "default"
    assert parameters.text("\udcff") == "\udcfe"
    parameters.close()


def test_the_last_of_two_values_counts_and_no_value_is_shown(text_table, logged):
    path = text_table(b"password = one\npassword = two\n")
    parameters = of_file(path)
    assert parameters.text("password") == "two"
    assert logged.take() == [
        f"warning: {path}, line 2: overriding earlier entry: password"
    ]
    of_file(path, ignore_complaint).close()
    assert logged.take() == []
    parameters.close()


def test_a_line_that_is_no_assignment_is_not_shown(text_table):
    path = text_table(b"a = b\npassword secret\n")
    with pytest.raises(TableError) as error:
        of_file(path)
    assert str(error.value) == f"{path}, line 2: missing '=' after attribute name"


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(TableError, match=r"^open /.*/none: No such file or directory$"):
        of_file(f"{tmp_path}/none")
    with pytest.raises(TableError, match=r"^read /.*: Is a directory$"):
        of_file(str(tmp_path))


def test_a_name_without_slash_or_dot_is_in_main_cf(monkeypatch, tmp_path):
    parameters = of_main_cf(query="q", number="3", flag="YES")
    assert parameters.text("query") == "q"
    assert parameters.text("missing", "x") == "x"
    assert parameters.integer("number", 1) == 3
    assert parameters.boolean("flag", default=False) is True
    assert not parameters.changed()
    parameters.close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users").write_text("query = file\n")
    os.utime(tmp_path / "users", (1, 1))
    parameters = of_file("./users")
    assert parameters.text("query") == "file"
    parameters.close()


@pytest.mark.parametrize("value", ["", "1x", " ", "99999999999", "1 ", "one"])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TableError, match=r"^users_n: bad numerical configuration: "):
        of_main_cf(n=value).integer("n", 0)


def test_bounds():
    parameters = of_main_cf(n="5", t="ab")
    assert parameters.integer("n", 0, minimum=5, maximum=5) == 5
    with pytest.raises(TableError, match="users_n: invalid value 5 < 6"):
        parameters.integer("n", 0, minimum=6)
    with pytest.raises(TableError, match="users_n: invalid value 5 > 4"):
        parameters.integer("n", 0, maximum=4)
    with pytest.raises(TableError, match=r"users_t: bad string length 2 < 3$"):
        parameters.text("t", minimum=3)
    with pytest.raises(TableError, match="users_t: bad boolean configuration: ab"):
        parameters.boolean("t", default=True)


def test_a_rewritten_or_removed_file_has_changed(text_table):
    path = text_table(b"a = b\n")
    parameters = of_file(path)
    assert not parameters.changed()
    os.utime(path, (5, 5))
    assert parameters.changed()
    parameters.close()
    assert not parameters.changed()


def test_a_file_that_is_being_written_is_read_again(text_table, monkeypatch):
    path = text_table(b"a = half\n")
    os.utime(path)

    def finish(seconds: float) -> None:
        text_table(b"a = whole\n")

    monkeypatch.setattr("postvirt.system.settled_file.time.sleep", finish)
    parameters = of_file(path)
    assert parameters.text("a") == "whole"
    parameters.close()
