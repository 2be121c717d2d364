"""Where a daemon logs, before and after main.cf has been read."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from postvirt.config.daemon_options import Options, parse_options
from postvirt.config.parameters import Settings
from postvirt.server.json_log import JsonLog
from postvirt.server.log_target import log_as_environment_says, log_as_settings_say
from postvirt.system import log

SetUp = Callable[..., Settings]


def options(*arguments: str) -> Options:
    return parse_options(("virtual", "-n", "virtual", "-t", "unix", *arguments), {})


def test_at_first_syslog_has_the_lines(sinks: list[str]) -> None:
    log_as_environment_says("virtual", "local3")
    log.info("x")
    assert sinks == ["syslog(postfix/virtual, local3)"]


@pytest.mark.parametrize("host", ["", "mx.example.org"])
def test_at_first_master_may_name_postlogd(
    host: str, sinks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_LOGTAG", "mail")
    monkeypatch.setenv("POSTLOG_SERVICE", "/spool/public/postlog")
    monkeypatch.setenv("POSTLOG_HOSTNAME", host)
    monkeypatch.setattr(sys, "argv", ["virtual", "-V"])
    log_as_environment_says("virtual")
    log.info("x")
    assert sinks == [
        "stderr(mail/virtual)",
        f"postlog(mail/virtual, {host or 'amnesiac'}, /spool/public/postlog)",
    ]


def test_then_main_cf_decides(sinks: list[str], settings: SetUp) -> None:
    log_as_settings_say(
        settings(syslog_name="mine", syslog_facility="local1"), options()
    )
    log.info("x")
    assert sinks == ["syslog(mine/virtual, local1)"]


def test_a_maillog_file_is_written_by_postlogd(
    sinks: list[str], settings: SetUp
) -> None:
    log_as_settings_say(
        settings(
            maillog_file="/var/log/m",
            queue_directory="/q",
            syslog_name="mine",
            postlog_service_name="plog",
        ),
        options("-V"),
    )
    log.info("x")
    assert sinks == [
        "stderr(mine/virtual)",
        "postlog(mine/virtual, mail.example.org, /q/public/plog)",
    ]


@pytest.mark.parametrize("path", ["", "/var/log/postvirt.json"])
def test_the_json_log_has_every_line_too(
    path: str, sinks: list[str], settings: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JsonLog, "take", lambda self, severity, line: sinks.append("j"))
    log_as_settings_say(
        settings(postvirt_json_log_file=path, syslog_name="mine"), options(), JsonLog()
    )
    log.info("x")
    assert sinks == ["syslog(mine/virtual, mail)", *(["j"] if path else [])]
