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
