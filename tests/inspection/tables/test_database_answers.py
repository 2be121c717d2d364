"""One question for each database, which may not wait without end."""

from __future__ import annotations

import socket

import pytest

from postvirt.inspection.tables.database_answers import _Question, _without_secrets
from postvirt.inspection.tables.table_refs import Listed
from postvirt.tables.table import TableOptions
from tests.harness.child import in_child
from tests.harness.databases import driver
from tests.harness.installations import Installation, problems_of, subject_of
from tests.harness.tables import opener

SECRET = "s3cret/Pass"


def set_up(installation: Installation, port: int) -> str:
    path = installation.etc / "mysql.cf"
    path.write_text(
        f"hosts = 127.0.0.1:{port}\nuser = mail\npassword = {SECRET}\n"
        "dbname = mail\nquery = SELECT path FROM users WHERE address = '%s'\n"
    )
    path.chmod(0o644)
    return f"mysql:{path}"


def test_a_server_that_says_nothing(installation: Installation) -> None:
    driver("pymysql")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        table = set_up(installation, silent.getsockname()[1])

        def ask() -> str:
            return _Question(opener(), table, b"bob@example.com", TableOptions()).ask(
                0.2
            )

        assert in_child(ask).startswith("no answer within")


@pytest.mark.root
def test_the_server_s_own_words_and_no_password(installation: Installation) -> None:
    """A server that shows what it was sent."""
    driver("pymysql")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    table = set_up(installation, port)
    installation.set(virtual_mailbox_maps=table)
    (found,) = [one for one in problems_of(installation) if one.code == "PV113"]
    assert f"{table} does not answer" in found.text
    assert "Connection refused" in found.text
    assert SECRET not in str(found)


def test_a_password_is_taken_out(installation: Installation) -> None:
    subject = subject_of(installation)
    table = set_up(installation, 1)
    listed = Listed("virtual_mailbox_maps", table, table)
    said = f"cannot log in as mail with {SECRET}"
    assert (
        _without_secrets(subject, said, listed) == "cannot log in as mail with ********"
    )


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("mail", "mysql_mailbox.cf: access denied for user 'mail'"),
        ("box", "mysql_mailbox.cf: denied ********"),
    ],
)
def test_no_name_is_taken_for_a_password(
    installation: Installation, password: str, said: str
) -> None:
    table = set_up(installation, 1)
    path = installation.etc / "mysql.cf"
    path.write_text(path.read_text().replace(SECRET, password))
    listed = Listed("virtual_mailbox_maps", table, table)
    subject = subject_of(installation)
    told = said.replace("********", password)
    assert _without_secrets(subject, told, listed) == said
