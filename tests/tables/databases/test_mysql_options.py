"""Option files of MySQL clients."""

from __future__ import annotations

import pytest

from postvirt.tables.databases import mysql_options
from postvirt.tables.databases.mysql_options import read_options


def test_groups_are_read_in_their_order(text_table):
    path = text_table(
        b"[mine]\nuser = 3\n[client-server]\nuser = 2\nport=2\n"
        b"[client]\nuser = 1\nsocket=1\n[mine]\nhost=4\n[mysqld]\nuser=5\n"
    )
    assert read_options(path, "mine") == {
        "user": "3",
        "port": "2",
        "socket": "1",
        "host": "4",
    }
    assert read_options(path, "")["user"] == "2"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (b"SSL_CA=/x", "ssl-ca", "/x"),
        (b"  user  =  a b  ", "user", "a b"),
        (b"user='a # b'", "user", "a # b"),
        (b'user="a\\\\b\\s"', "user", "a\\b "),
        (b"ssl-verify-server-cert", "ssl-verify-server-cert", ""),
        (b"user=\xff", "user", "\udcff"),
    ],
)
def test_names_and_values(text_table, line, name, value):
    path = text_table(b"; comment\n# comment\n\n[client]\n" + line)
    assert read_options(path, "client") == {name: value}


def test_included_files_and_directories(text_table, tmp_path):
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "b.cnf").write_text("[client]\nuser=b\n")
    (folder / "a.cnf").write_text("[client]\nuser=a\nport=1\n")
    (folder / "c.txt").write_text("[client]\nuser=c\n")
    path = text_table(f"!includedir {folder}\n!includedir /none\n!other\n".encode())
    assert read_options(path, "") == {"user": "b", "port": "1"}


def test_a_file_that_includes_itself(text_table, tmp_path):
    path = text_table(f"[client]\nuser=a\n!include {tmp_path}/text\n".encode())
    assert read_options(path, "") == {"user": "a"}


def test_a_missing_file_is_an_error_only_when_it_was_asked_for(monkeypatch):
    with pytest.raises(FileNotFoundError):
        read_options("/none", "")
    monkeypatch.setattr(mysql_options, "DEFAULT_FILES", ("/none",))
    assert read_options("", "client") == {}


def test_the_usual_files_are_read_if_a_group_is_given(monkeypatch, text_table):
    path = text_table(b"[client]\nuser=a\n")
    monkeypatch.setattr(mysql_options, "DEFAULT_FILES", (path, "/none"))
    assert read_options("", "client") == {"user": "a"}
    assert read_options("", "") == {}
