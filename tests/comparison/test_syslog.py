"""What virtual(8) and postvirt say to syslog(3), when there is no maillog_file."""

from __future__ import annotations

import ctypes
import re
from functools import partial

import pytest

from postvirt.system import log
from tests.harness.comparison import GENUINE, POSTVIRT, Observation, observe
from tests.harness.libpostfix import LIBRARIES
from tests.harness.scenario import BOB, NOBODY, Mail, Scenario, to
from tests.harness.system_log import split_record, with_system_log

pytestmark = pytest.mark.postfix

_DELAYS = re.compile(r"delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+,")
_ROOT = re.compile(r"/tmp/postvirt-[^/]+")
# Of <syslog.h>.
_LOG_PID, _MAIL = 1, 2 << 3

_TO_SYSLOG = {"maillog_file": ""}

SCENARIOS = (
    Scenario(
        name="every severity",
        parameters={
            **_TO_SYSLOG,
            "virtual_mailbox_maps": "texthash:@etc@/mailboxes",
            "virtual_delivery_status_filter": "texthash:@etc@/nothing",
        },
        mails=(
            Mail(recipients=(BOB, NOBODY)),
            Mail(edit=lambda data: data[:20], hang_up=True),
        ),
    ),
    Scenario(
        name="facility and name",
        parameters={**_TO_SYSLOG, "syslog_facility": "local5", "syslog_name": "mx one"},
        service="boxes",
    ),
    Scenario(
        name="odd bytes and long lines",
        parameters=_TO_SYSLOG,
        mails=(
            Mail(recipients=(to("j\x01\xf6rg%s@example.com"),)),
            Mail(recipients=(to("b" * 1960 + "\xe4\xe4\xe4@example.com"),)),
            Mail(recipients=(to("b" * 1961 + "\xe4\xe4\xe4@example.com"),)),
            Mail(recipients=(to(b"\xff" * 3000),)),
        ),
    ),
    Scenario(
        name="a jail",
        parameters={
            **_TO_SYSLOG,
            "virtual_mailbox_maps": "inline:{{bob@example.com=bob/}}",
        },
        mails=(Mail(recipients=(NOBODY,)),),
        options=("-c",),
    ),
    Scenario(
        name="an early mistake",
        parameters={**_TO_SYSLOG, "syslog_facility": "local1", "max_use": "x"},
        environment={"POSTLOG_SERVICE": ""},
    ),
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_syslog_gets_what_virtual_says(scenario: Scenario) -> None:
    expected, found = (
        with_system_log(partial(observe, scenario, program))
        for program in (GENUINE, POSTVIRT)
    )
    assert found[0].sections == expected[0].sections
    assert _comparable(found) == _comparable(expected)
    assert found[1]


def _comparable(seen: tuple[Observation, list[bytes]]) -> list[tuple[int, str, str]]:
    return [
        (priority, tag, _DELAYS.sub("delay=D,", _ROOT.sub("/ROOT", text)))
        for priority, tag, text in map(split_record, seen[1])
    ]


FACILITIES = (
    "auth authpriv cron daemon ftp kern lpr mail news security syslog user uucp"
    " local0 local1 local2 local3 local4 local5 local6 local7 local8"
    " MAIL Mail mark console ntp solaris-cron emerg info"
).split()


def test_facilities_are_those_of_postfix() -> None:
    def genuine() -> list[bool]:
        library = ctypes.CDLL(f"{LIBRARIES}/libpostfix-util.so")
        library.msg_syslog_init(b"tag", _LOG_PID, _MAIL)
        known = []
        for name in FACILITIES:
            known.append(bool(library.msg_syslog_set_facility(name.encode())))
            if known[-1]:
                library.msg_info(b"text")
        return known

    def ours() -> list[bool]:
        known = [log.is_facility(name) for name in FACILITIES]
        for name, is_known in zip(FACILITIES, known, strict=True):
            if is_known:
                log.to_syslog("tag", name)("", b"text")
        return known

    expected, found = with_system_log(genuine), with_system_log(ours)
    assert found[0] == expected[0]
    assert [*map(split_record, found[1])] == [*map(split_record, expected[1])]
