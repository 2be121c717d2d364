"""virtual_delivery_status_filter replaces a code and its text."""

import pytest

from postvirt.model.outcome import Dsn
from postvirt.report.status_filter import filtered
from tests.harness.reporting import status_filter

DEFERRED = Dsn("4.2.0", "no lock", "delayed")
BOUNCED = Dsn("5.1.1", "unknown", "failed")
SENT = Dsn("2.0.0", "delivered to maildir", "delivered")
PREFIX = "virtual_delivery_status_filter"


def through(dsn: Dsn, value: str) -> Dsn:
    return filtered(status_filter(f"static:{{{value}}}"), dsn)


def test_without_a_filter_nothing_changes():
    assert filtered(None, DEFERRED) is DEFERRED


def test_a_status_that_the_filter_does_not_know_stays(logged):
    maps = status_filter("inline:{{other = 5.0.0 x}}")
    assert filtered(maps, DEFERRED) is DEFERRED
    assert logged == []


@pytest.mark.parametrize(
    ("dsn", "value", "changed"),
    [
        (DEFERRED, "5.7.1 go away", Dsn("5.7.1", "go away", "failed")),
        (DEFERRED, "4.7.1 later", Dsn("4.7.1", "later", "delayed")),
        (BOUNCED, "4.1.1 later", Dsn("4.1.1", "later", "delayed")),
        (BOUNCED, "5.999.999 x", Dsn("5.999.999", "x", "failed")),
        (SENT, "2.6.0 done", Dsn("2.6.0", "done", "delivered")),
        (DEFERRED, "5.7.1 \t spaces  within", Dsn("5.7.1", "spaces  within", "failed")),
        (DEFERRED, "5.7.1", Dsn("5.7.1", "no lock", "failed")),
        (BOUNCED, "4.17.1 ", Dsn("4.17.1", "unknown", "delayed")),
        (DEFERRED, "5.7.1 é", Dsn("5.7.1", "é", "failed")),
    ],
)
def test_the_value_replaces_code_and_text(logged, dsn, value, changed):
    assert through(dsn, value) == changed
    assert logged == []


@pytest.mark.parametrize(
    ("dsn", "value"),
    [
        (SENT, "4.0.0 x"),
        (SENT, "5.0.0 x"),
        (DEFERRED, "2.0.0 x"),
        (BOUNCED, "2.0.0 x"),
        (DEFERRED, "x"),
        (DEFERRED, "3.0.0 x"),
        (DEFERRED, "5.7 x"),
        (DEFERRED, "5.7.1x"),
        (DEFERRED, "5.7777.1 x"),
        (DEFERRED, "5..1 x"),
        (DEFERRED, "550 5.7.1 x"),
    ],
)
def test_a_bad_value_is_logged_and_changes_nothing(logged, dsn, value):
    assert through(dsn, value) is dsn
    assert logged == [f"warning: {PREFIX}: bad status code: {value}"]


def test_the_key_is_the_code_and_the_text(logged, tmp_path):
    (tmp_path / "filter").write_text("/^4.2.0 é$/ 5.7.1 x\n")
    maps = status_filter(f"regexp:{tmp_path}/filter")
    dsn = Dsn("4.2.0", "é", "delayed")
    assert filtered(maps, dsn) == Dsn("5.7.1", "x", "failed")
    assert logged == []


def test_a_text_that_is_not_utf8_is_looked_up_as_it_is(logged):
    dsn = Dsn("4.2.0", "é \udcff", "delayed")
    assert filtered(status_filter("inline:{{x = 5.7.1 x}}"), dsn) is dsn
    (line,) = logged
    assert 'non-UTF-8 key "4.2.0 é ?"' in line


def test_a_table_that_fails_changes_nothing(logged):
    assert filtered(status_filter("nonesuch:x"), DEFERRED) is DEFERRED
    assert logged
    assert "bad status code" not in " ".join(logged)
