"""postvirt lookup: the value or the reason, and an exit code for scripts."""

from __future__ import annotations

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("key", "status", "output"),
    [
        ("bob@example.com", 0, b"bob/\n"),
        ("BOB@Example.com", 0, b"bob/\n"),
        ("bob", 1, b""),
    ],
)
def test_found_and_not_found(
    instance: Instance, postvirt: Run, key: str, status: int, output: bytes
) -> None:
    done = postvirt("lookup", f"texthash:{instance.etc}/mailboxes", key)
    assert (done.returncode, done.stdout, done.stderr) == (status, output, b"")


def test_an_empty_value_is_an_empty_line(postvirt: Run) -> None:
    done = postvirt("lookup", "inline:{{a = }}", "a")
    assert (done.returncode, done.stdout) == (0, b"\n")


def test_a_key_that_looks_like_an_option(postvirt: Run) -> None:
    done = postvirt("lookup", "static:x", "--", "-c")
    assert (done.returncode, done.stdout) == (0, b"x\n")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("texthash:/does/not/exist", b"No such file or directory"),
        ("nosuch:table", b"unsupported dictionary type: nosuch"),
        ("table", b"table"),
    ],
)
def test_a_table_that_cannot_answer(
    postvirt: Run, table: str, complaint: bytes
) -> None:
    done = postvirt("lookup", table, "key")
    assert (done.returncode, done.stdout) == (75, b"")
    assert complaint in done.stderr


def test_a_wrong_command_line(postvirt: Run) -> None:
    assert postvirt("lookup", "static:x").returncode == 75


@pytest.mark.parametrize(
    ("table", "key", "status", "output"),
    [
        ("regexp:{{/^(.*)@(.*)$/ $2/${1}/$$}}", "Bob@X.org", 0, b"X.org/Bob/$\n"),
        ("pcre:{{/^(?<l>.*?)@/ $(1)}}", "Bob@X.org", 0, b"Bob\n"),
        ("cidr:{{192.0.2.0/24 x}}", "192.0.2.9", 0, b"x\n"),
        ("unionmap:{static:x, proxy:inline:{a=y}}", "A", 0, b"x,y\n"),
        ("pipemap:{inline:{a=b}, inline:{b=c}}", "a", 0, b"c\n"),
        ("pipemap:{inline:{a=b}, inline:{b=c}}", "b", 1, b""),
        ("unix:passwd.byname", "no-such-name", 1, b""),
        ("randmap:{x}", "a", 0, b"x\n"),
        ("fail:x", "a", 75, b""),
        # As in postmap, it does not matter that the second table is not needed.
        ("pipemap:{inline:{a=b}, texthash:/none}", "b", 75, b""),
    ],
)
def test_tables_of_all_kinds(
    postvirt: Run, table: str, key: str, status: int, output: bytes
) -> None:
    done = postvirt("lookup", table, key)
    assert (done.returncode, done.stdout) == (status, output)


@pytest.mark.parametrize(
    "option",
    [
        "virtual_minimum_uid=many",
        "virtual_mailbox_base=",
        # As in most configurations for another delivery agent.
        "message_size_limit=100000000",
        "postvirt_client_limit=0",
    ],
)
def test_what_only_a_delivery_needs_may_be_wrong(postvirt: Run, option: str) -> None:
    """As with postmap."""
    done = postvirt("lookup", "-o", option, "inline:{bob=bob/}", "bob")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"bob/\n", b"")


def test_what_every_program_needs_may_not(postvirt: Run) -> None:
    option = "message_size_limit=much"
    done = postvirt("lookup", "-o", option, "inline:{bob=bob/}", "bob")
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"bad numerical configuration: message_size_limit = much" in done.stderr


def test_an_error_is_reported_once(postvirt: Run) -> None:
    done = postvirt("lookup", "texthash:/none", "key")
    assert done.stderr == b"postvirt: open database /none: No such file or directory\n"


def test_the_types_are_listed(postvirt: Run) -> None:
    done = postvirt("lookup", "--types")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = {line.split()[0]: line for line in done.stdout.decode().splitlines()}
    assert "built in" in rows["inline"]
    assert "refused" in rows["tcp"]


@pytest.mark.postfix
def test_a_table_that_is_opened_as_another_type(
    instance: Instance, postvirt: Run
) -> None:
    instance.add_table("hash", "users", {"bob@x": "hash"})
    instance.add_table("lmdb", "users", {"bob@x": "lmdb"})
    table = f"hash:{instance.etc}/users"
    assert postvirt("lookup", table, "bob@x").stdout == b"hash\n"
    level = ("-o", "non_bdb_migration_level=enable-redirect")
    is_hash = ("-o", "default_database_type=hash")
    done = postvirt("lookup", *level, *is_hash, table, "bob@x")
    assert done.returncode == 75
    assert b"set default_database_type, for example to lmdb" in done.stderr
    done = postvirt(
        "lookup", *level, "-o", "default_database_type=lmdb", table, "bob@x"
    )
    assert (done.returncode, done.stdout) == (0, b"lmdb\n")
    told = f"postvirt: redirecting {table} to lmdb:{instance.etc}/users\n"
    assert done.stderr == told.encode()


def test_a_table_whose_parameters_are_in_main_cf(
    postvirt: Run, old_style_table: str
) -> None:
    done = postvirt("lookup", old_style_table, "bob@example.com")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"bob/\n", b"")
    done = postvirt("lookup", "-o", "folder=/none", old_style_table, "bob@example.com")
    assert (done.returncode, done.stdout) == (75, b"")
    assert b"/none/users.db" in done.stderr


def test_a_mistake_in_such_a_parameter_is_an_error(
    postvirt: Run, old_style_table: str
) -> None:
    done = postvirt("lookup", "-o", "users_dbpath=${", old_style_table, "x")
    assert done.returncode == 75
    assert b"users_dbpath: " in done.stderr
