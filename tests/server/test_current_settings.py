"""main.cf is read again when it has changed, and the log follows it."""

from __future__ import annotations

import os

import pytest

from postvirt.config.daemon_options import parse_options
from postvirt.config.load import LoadError, load
from postvirt.errors import ConfigError
from postvirt.server import current_settings
from postvirt.server.current_settings import CurrentSettings
from postvirt.standin.instance import Instance
from postvirt.system import log


@pytest.fixture
def current(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> CurrentSettings:
    """Those of a process of the instance, with two -o options."""
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    options = ("-o", "max_use=7", "-o", "postvirt_client_limit=9")
    argv = ("virtual", "-n", "virtual", "-t", "unix", *options)
    return CurrentSettings(parse_options(argv, {}))


def where(sinks: list[str]) -> list[str]:
    """Where a line goes now, without the names of files."""
    sinks.clear()
    log.info("x")
    return [one.rpartition(",")[0] or one for one in sinks]


def spoil(instance: Instance, text: str) -> None:
    """Have this text only in main.cf."""
    path = instance.etc / "main.cf"
    path.write_text(text)
    os.utime(path, (1_000_000_000, 1_000_000_000))


def test_main_cf_is_read_once_while_it_stays_the_same(
    current: CurrentSettings, instance: Instance, sinks: list[str]
) -> None:
    instance.main_cf({"max_use": "5", "ipc_timeout": "5s"})
    first = current.read()
    assert (first.max_use, first.postvirt_client_limit, first.ipc_timeout) == (7, 9, 5)
    assert current.read() is first
    instance.main_cf({"ipc_timeout": "6s"})
    assert current.read().ipc_timeout == 6
    assert current.tables.texts("ipc_timeout") == "6s"


def test_the_log_follows_main_cf(
    current: CurrentSettings, instance: Instance, sinks: list[str]
) -> None:
    instance.main_cf({"syslog_name": "one"})
    current.read()
    assert where(sinks) == ["postlog(one/virtual, mail.example.org"]
    instance.main_cf({"syslog_name": "two", "maillog_file": ""})
    current.read()
    assert where(sinks) == ["syslog(two/virtual"]


def test_what_main_cf_is_warned_about_is_logged_each_time_it_is_read(
    current: CurrentSettings, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(log, "warning", warnings.append)
    instance.main_cf({})
    with (instance.etc / "main.cf").open("a") as file:
        file.write("max_use = 5\nmax_use = 6\n")
    os.utime(instance.etc / "main.cf", (1_000_000_000, 1_000_000_000))
    current.read()
    current.read()
    assert len(warnings) == 1
    assert "max_use" in warnings[0]


def test_settings_may_be_kept_whatever_main_cf_is_now(
    current: CurrentSettings, instance: Instance, sinks: list[str]
) -> None:
    instance.main_cf({"ipc_timeout": "5s", "syslog_name": "old"})
    old = current.read()
    instance.main_cf({"virtual_minimum_uid": "abc", "syslog_name": "new"})
    with pytest.raises(ConfigError, match="virtual_minimum_uid"):
        current.read()
    # The line about it went where the new main.cf says.
    assert where(sinks) == ["postlog(new/virtual, mail.example.org"]
    assert current.keep() is old
    assert where(sinks) == ["postlog(old/virtual, mail.example.org"]
    assert current.read() is old
    instance.main_cf({"ipc_timeout": "6s"})
    assert current.read().ipc_timeout == 6


def test_a_main_cf_that_is_gone_is_an_error_and_may_come_back(
    current: CurrentSettings, instance: Instance, sinks: list[str]
) -> None:
    old = current.read()
    (instance.etc / "main.cf").rename(instance.etc / "away")
    with pytest.raises(ConfigError, match="No such file"):
        current.read()
    assert current.keep() is old
    assert current.read() is old
    (instance.etc / "away").rename(instance.etc / "main.cf")
    assert current.read() is not old


@pytest.mark.parametrize(
    ("text", "logs_to"),
    [
        # Not even the form of main.cf is right: as the environment says.
        ("what is this\n", "syslog(postfix/virtual, mail)"),
        # A parameter of every Postfix program is wrong, so syslog_name is not used.
        (
            "syslog_facility = local3\nsyslog_name = mine\nmax_use = never\n",
            "syslog(postfix/virtual, local3)",
        ),
        # A facility that there is not leaves the log where it was.
        ("syslog_facility = none\nmax_use = never\n", ""),
        # One of its own is wrong: as main.cf says.
        (
            "syslog_name = mine\nsyslog_facility = local4\nvirtual_minimum_uid = abc\n",
            "syslog(mine/virtual, local4)",
        ),
    ],
    ids=["form", "shared", "facility", "own"],
)
def test_the_first_mistake_is_logged_where_it_can_be(
    text: str,
    logs_to: str,
    instance: Instance,
    sinks: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    log.start(lambda *_: None)
    spoil(instance, text)
    argv = ("virtual", "-n", "virtual", "-t", "unix")
    with pytest.raises(LoadError):
        CurrentSettings(parse_options(argv, {})).read()
    sinks.clear()
    log.info("x")
    assert sinks == ([logs_to] if logs_to else [])


def test_a_later_mistake_in_the_form_leaves_the_log_where_it_is(
    current: CurrentSettings, instance: Instance, sinks: list[str]
) -> None:
    instance.main_cf({"syslog_name": "mine"})
    current.read()
    spoil(instance, "what is this\n")
    with pytest.raises(LoadError):
        current.read()
    assert where(sinks) == ["postlog(mine/virtual, mail.example.org"]


def test_a_change_while_main_cf_is_read_is_seen_the_next_time(
    current: CurrentSettings,
    instance: Instance,
    sinks: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load_slowly(**arguments: object) -> object:
        loaded = load(**arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(current_settings, "load", load)
        instance.main_cf({"ipc_timeout": "6s"})
        return loaded

    instance.main_cf({"ipc_timeout": "5s"})
    monkeypatch.setattr(current_settings, "load", load_slowly)
    assert current.read().ipc_timeout == 5
    assert current.read().ipc_timeout == 6
