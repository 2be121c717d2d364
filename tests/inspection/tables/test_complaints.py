"""What a table complains of has a code, and its words do not matter."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from postvirt.inspection.problem import Severity
from postvirt.inspection.tables.table_problems import problem_of
from postvirt.inspection.tables.table_refs import Listed
from postvirt.model.origin import Origin
from postvirt.system import log
from postvirt.tables.complaint import Complaint, Kind, OpenError
from postvirt.tables.opener import TableOpener
from postvirt.tables.redirection import Redirection
from postvirt.tables.table import TableOptions
from tests.harness.installations import Installation, subject_of
from tests.harness.tables import opener

MEANINGS: dict[Kind, tuple[str, Severity]] = {
    Kind.UNUSABLE: ("PV101", "error"),
    Kind.UNSUPPORTED_TYPE: ("PV108", "error"),
    Kind.REFUSED: ("PV125", "error"),
    Kind.MISSING_INDEX: ("PV104", "error"),
    Kind.MISSING_FILE: ("PV104", "error"),
    Kind.STALE_INDEX: ("PV107", "warning"),
    Kind.EDITED: ("PV107", "warning"),
    Kind.PARAMETER: ("PV102", "warning"),
    Kind.IGNORED: ("PV123", "warning"),
    Kind.LINE: ("PV102", "warning"),
    Kind.DUPLICATE: ("PV114", "error"),
    Kind.KEY_COLON: ("PV115", "warning"),
    Kind.NO_VALUE: ("PV116", "warning"),
    Kind.NO_RESULT: ("PV116", "error"),
    Kind.SUBSTITUTION: ("PV111", "error"),
}


@pytest.mark.parametrize("kind", Kind)
def test_a_code_follows_from_the_kind_alone(
    kind: Kind, installation: Installation
) -> None:
    listed = Listed("virtual_mailbox_maps", "hash:/none", "hash:/none")
    complaint = Complaint(kind, "other words", file="/none.db")
    problem = problem_of(subject_of(installation), listed, complaint)
    assert (problem.code, problem.severity) == MEANINGS[kind]
    assert problem.text == "hash:/none: other words"


def test_a_line_is_shown_where_it_is_but_not_that_of_a_database(
    installation: Installation,
) -> None:
    path = installation.etc / "text"
    path.write_text("first\nsecond\n")
    complaint = Complaint(Kind.LINE, "bad", file=str(path), line=2, prefix="x map ")
    assert complaint.log_line == f"x map {path}, line 2: bad"
    for type_, source in (("regexp", "second"), ("sqlite", "")):
        listed = Listed("virtual_mailbox_maps", f"{type_}:{path}", f"{type_}:{path}")
        found = problem_of(subject_of(installation), listed, complaint)
        assert found.text == f"{type_}:{path}: bad"
        assert found.origin == Origin(str(path), 2, source, 0 if source else -1)


def _edited(since: float) -> Callable[[Installation], str]:
    """A source that was edited so many seconds ago, and its index from before that."""

    def write(installation: Installation) -> str:
        path = installation.etc / "stale"
        path.write_text("a b\n")
        index = path.with_suffix(".cdb")
        index.write_bytes(bytes(2048))
        now = time.time()
        for file, seconds in ((path, since), (index, since + 1000)):
            os.utime(file, (now - seconds, now - seconds))
        return f"cdb:{path}"

    return write


def _text(type_: str, content: str) -> Callable[[Installation], str]:
    def write(installation: Installation) -> str:
        path = installation.etc / "text"
        path.write_text(content)
        return f"{type_}:{path}"

    return write


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (Kind.UNUSABLE, lambda _: "inline:{"),
        (Kind.UNSUPPORTED_TYPE, lambda _: "nosuch:x"),
        (Kind.REFUSED, lambda _: "tcp:localhost:1"),
        (Kind.MISSING_INDEX, lambda _: "cdb:/none"),
        (Kind.MISSING_FILE, lambda _: "texthash:/none"),
        (Kind.MISSING_FILE, lambda _: "regexp:/none"),
        (Kind.MISSING_FILE, lambda _: "sqlite:/none"),
        (Kind.MISSING_FILE, _text("sqlite", "dbpath = /none\nquery = x\n")),
        (Kind.STALE_INDEX, _edited(2000)),
        (Kind.EDITED, _edited(10)),
        (Kind.EDITED, _edited(-10_000)),
        (Kind.PARAMETER, _text("sqlite", "a = b\na = c\ndbpath = /none\nquery = x\n")),
        (
            Kind.IGNORED,
            _text("ldap", "server_host = x\nsearch_base = y\ncache_size = 9\n"),
        ),
        (Kind.LINE, _text("texthash", " continues nothing\n")),
        (Kind.LINE, _text("texthash", '"a b\n')),
        (Kind.LINE, _text("regexp", "/a/\tx\nif /b/\n")),
        (Kind.LINE, _text("regexp", "/a/\t${\n")),
        (Kind.LINE, _text("cidr", "192.0.2.1\n")),
        (Kind.DUPLICATE, _text("texthash", "a b\na c\n")),
        (Kind.KEY_COLON, _text("texthash", "a: b\n")),
        (Kind.NO_VALUE, _text("texthash", "a\n")),
        (Kind.NO_RESULT, _text("regexp", "/a/\n")),
        (Kind.SUBSTITUTION, _text("regexp", "/(a)/ $1\n")),
    ],
)
def test_what_tables_complain_of(
    kind: Kind, table: Callable[[Installation], str], installation: Installation
) -> None:
    """And they log nothing themselves, so that nothing is said as text only."""
    spec = table(installation)
    found: list[Complaint] = []
    logged: list[bytes] = []
    with log.diverted(lambda _, line: logged.append(line)):
        opener().telling(found.append).open(spec, TableOptions(paranoid=True)).close()
    assert kind in [one.kind for one in found]
    assert logged == []


def test_the_log_line_is_made_of_the_complaint() -> None:
    logged: list[tuple[str, bytes]] = []
    with log.diverted(lambda severity, line: logged.append((severity, line))):
        opener().open("inline:{a=b}", TableOptions()).close()
        opener().open("regexp:{{/a/}}", TableOptions()).close()
        opener().open("texthash:/none", TableOptions()).close()
    assert logged == [
        (
            "warning",
            b"regexp map {{/a/}}, line 1: no replacement text: using empty string",
        ),
        ("error", b"open database /none: No such file or directory"),
    ]


def test_what_is_wrong_with_the_mapping_of_types_keeps_its_kind() -> None:
    redirection = Redirection("enable-redirect", "texthash:/none", {"hash": "lmdb"})
    found: list[Complaint] = []
    tables = TableOpener(lambda _: None, redirection, found.append)
    tables.open("hash:/table", TableOptions()).close()
    (complaint,) = found
    assert (complaint.kind, complaint.file) == (Kind.MISSING_FILE, "/none")
    assert complaint.log_line.startswith("Berkeley DB type mapping lookup error for")


def test_an_error_that_must_be_raised_is_the_same_value() -> None:
    with pytest.raises(OpenError) as error:
        opener().open("texthash:/none", TableOptions(must_open=True))
    complaint = error.value.complaint
    assert complaint.kind is Kind.MISSING_FILE
    assert complaint.log_line == str(error.value)


def test_the_log_waits_for_postmap(installation: Installation) -> None:
    """virtual(8) says nothing about an index whose source has just been edited."""
    logged: list[bytes] = []
    with log.diverted(lambda _, line: logged.append(line)):
        opener().open(_edited(10)(installation), TableOptions()).close()
        assert logged == []
        opener().open(_edited(200)(installation), TableOptions()).close()
        assert len(logged) == 1
