"""Who is told what, in which order, and whether the recipient is done with."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import (
    Bounced,
    CorruptQueueFile,
    Deferred,
    Delivered,
    Dsn,
)
from postvirt.model.quota import NOTHING, Filling, Limit, Use
from postvirt.model.report import Report
from postvirt.model.request import (
    NOTIFY_DELAY,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    Recipient,
    RequestFlag,
)
from tests.harness.libpostfix import ask
from tests.harness.reporting import RECIPIENT, attributes, report, with_notify

SENT = Delivered(Dsn("2.0.0", "delivered to maildir"))
DEFERRED = Deferred(Dsn("4.2.0", "no lock"))
BOUNCED = Bounced(Dsn("5.1.1", "unknown user"))
DOWN = -1

MTA_VRFY, USR_VRFY = RequestFlag.MTA_VRFY, RequestFlag.USR_VRFY
RECORD, REC_DLY_SENT = RequestFlag.RECORD, RequestFlag.REC_DLY_SENT


def log_line(status: str, reason: str, word: str) -> str:
    return (
        "3F1A2B4C5D: to=<new@example.com>, orig_to=<old@example.com>, relay=virtual, "
        f"delay=0, delays=0/0/0/0, dsn={status}, status={word} ({reason})"
    )


def append(status: str, reason: str, action: str, flags: int = 0, notify: int = 0):
    return {
        "nrequest": "0",
        "flags": str(int(flags)),
        "queue_id": "3F1A2B4C5D",
        "original_recipient": "old@example.com",
        "recipient": "new@example.com",
        "offset": "77",
        "dsn_orig_rcpt": "rfc822;o",
        "notify_flags": str(notify),
        "status": status,
        "diag_type": "",
        "diag_text": "",
        "mta_type": "",
        "mta_mname": "",
        "action": action,
        "reason": reason,
    }


def traced(reason: str) -> str:
    return f"delivery via virtual: {reason}"


def test_a_delivery_is_logged_and_nobody_is_asked(logged):
    found = report(SENT)
    assert (found.done, found.requests) == (True, [])
    assert logged == [log_line("2.0.0", "delivered to maildir", "sent")]


def test_a_bounce_goes_to_the_bounce_service(logged):
    found = report(BOUNCED)
    assert found.done
    assert found.requests == [
        ("private/bounce", append("5.1.1", "unknown user", "failed"))
    ]
    assert logged == [log_line("5.1.1", "unknown user", "bounced")]


def test_a_deferral_goes_to_the_defer_service_and_the_recipient_stays(logged):
    found = report(DEFERRED)
    assert not found.done
    assert found.requests == [("private/defer", append("4.2.0", "no lock", "delayed"))]
    assert logged == [log_line("4.2.0", "no lock", "deferred")]


def test_what_the_system_said_is_told_too(logged):
    for outcome in (Deferred, Bounced):
        dsn = Dsn("4.2.0" if outcome is Deferred else "5.2.0", "x", "", "File exists")
        found = report(outcome(dsn), flags=RECORD)
        assert len(found.requests) == 2
        for _, told in found.requests:
            assert (told["diag_type"], told["diag_text"]) == ("x-unix", "File exists")


def test_nobody_is_told_of_a_corrupt_queue_file(logged):
    found = report(CorruptQueueFile(), flags=3 | RECORD)
    assert (found.done, found.requests, logged) == (False, [], [])


def test_services_have_the_names_that_are_configured(logged):
    names: dict[str, Any] = {
        "bounce_service_name": "defer",
        "defer_service_name": "trace",
        "trace_service_name": "bounce",
    }
    assert report(BOUNCED, flags=RECORD, **names).services == [
        "private/defer",
        "private/bounce",
    ]
    assert report(DEFERRED, **names).services == ["private/trace"]


class TestProbe:
    @pytest.mark.parametrize(
        ("outcome", "status", "code", "reason", "word"),
        [
            (SENT, "0", "2.0.0", "delivered to maildir", "deliverable"),
            (DEFERRED, "1", "4.2.0", "no lock", "undeliverable"),
            (BOUNCED, "2", "5.1.1", "unknown user", "undeliverable"),
        ],
    )
    def test_a_probe_updates_both_addresses(
        self, logged, outcome, status, code, reason, word
    ):
        found = report(outcome, flags=3 | MTA_VRFY)
        assert found.done
        assert found.requests == [
            (
                "private/verify",
                {
                    "request": "update",
                    "address": address,
                    "recipient_status": status,
                    "reason": reason,
                },
            )
            for address in ("old@example.com", "new@example.com")
        ]
        assert logged == [log_line(code, reason, word)]

    @pytest.mark.parametrize("original", [b"", b"new@example.com"])
    def test_one_address_is_updated_once(self, logged, original):
        recipient = Recipient(
            original_recipient=original, address=b"new@example.com", offset=77
        )
        [(_, update)] = report(SENT, flags=MTA_VRFY, recipient=recipient).requests
        assert update["address"] == "new@example.com"

    def test_an_address_that_differs_in_case_is_another_one(self, logged):
        recipient = Recipient(
            original_recipient=b"NEW@example.com", address=b"new@example.com", offset=77
        )
        found = report(SENT, flags=MTA_VRFY, recipient=recipient)
        assert found.services == ["private/verify"] * 2

    def test_a_failed_update_leaves_the_recipient(self, logged):
        found = report(SENT, flags=MTA_VRFY, answers={"private/verify": DOWN})
        assert not found.done
        assert found.services == ["private/verify"]
        assert logged == ["warning: 3F1A2B4C5D: verify service failure"]

    def test_a_verify_service_that_is_away_is_asked_a_few_times(self, logged):
        found = report(SENT, flags=MTA_VRFY, answers={"private/verify": None})
        assert not found.done
        assert found.services == ["private/verify"] * 3
        assert found.pauses == [1.0, 1.0]
        assert logged == ["warning: 3F1A2B4C5D: verify service failure"]

    def test_no_other_service_is_asked_again(self, logged):
        away = dict.fromkeys(["private/bounce", "private/defer", "private/trace"])
        found = report(BOUNCED, flags=RECORD, answers=away)
        assert found.services == ["private/bounce", "private/defer", "private/trace"]
        assert found.pauses == []

    @pytest.mark.parametrize("outcome", [DEFERRED, BOUNCED])
    def test_without_negative_cache_a_failure_is_only_logged(self, logged, outcome):
        found = report(outcome, flags=MTA_VRFY, address_verify_negative_cache=False)
        assert (found.done, found.requests) == (True, [])
        dsn = outcome.dsn
        word = "undeliverable-but-not-cached"
        assert logged == [log_line(dsn.status, dsn.reason, word)]

    def test_without_negative_cache_a_success_is_told(self, logged):
        found = report(SENT, flags=MTA_VRFY, address_verify_negative_cache=False)
        assert found.services == ["private/verify"] * 2

    @pytest.mark.parametrize(
        ("outcome", "action"),
        [
            (SENT, "deliverable"),
            (DEFERRED, "undeliverable"),
            (BOUNCED, "undeliverable"),
        ],
    )
    def test_a_probe_by_a_user_goes_to_the_trace_service(self, logged, outcome, action):
        found = report(outcome, flags=3 | USR_VRFY)
        dsn = outcome.dsn
        told = append(dsn.status, traced(dsn.reason), action, USR_VRFY)
        assert found.done
        assert found.requests == [("private/trace", told)]
        assert logged == [log_line(dsn.status, dsn.reason, action)]

    @pytest.mark.parametrize("outcome", [SENT, DEFERRED, BOUNCED])
    def test_a_lost_probe_result_leaves_the_recipient(self, logged, outcome):
        found = report(outcome, flags=USR_VRFY, answers={"private/trace": DOWN})
        assert not found.done
        assert found.services == ["private/trace"]
        assert logged == ["warning: 3F1A2B4C5D: trace service failure"]


class TestTrace:
    def test_record_traces_a_delivery(self, logged):
        found = report(SENT, flags=3 | RECORD)
        told = append("2.0.0", traced("delivered to maildir"), "delivered", RECORD)
        assert found.done
        assert found.requests == [("private/trace", told)]
        assert logged == [log_line("2.0.0", "delivered to maildir", "sent")]

    @pytest.mark.parametrize(
        ("flags", "notify", "times"),
        [
            (0, 0, 0),
            (0, NOTIFY_SUCCESS, 1),
            (0, NOTIFY_NEVER, 0),
            (0, NOTIFY_FAILURE | NOTIFY_DELAY, 0),
            (REC_DLY_SENT, 0, 1),
            (REC_DLY_SENT, NOTIFY_DELAY, 1),
            (REC_DLY_SENT, NOTIFY_NEVER, 0),
            (REC_DLY_SENT, NOTIFY_FAILURE, 0),
            (REC_DLY_SENT, NOTIFY_SUCCESS, 1),
            (REC_DLY_SENT, NOTIFY_SUCCESS | NOTIFY_DELAY, 2),
            (RECORD, NOTIFY_NEVER, 1),
            (RECORD, NOTIFY_SUCCESS, 2),
            (RECORD | REC_DLY_SENT, 0, 1),
        ],
    )
    def test_a_delivery_is_traced_as_often_as_wished(
        self, logged, flags, notify, times
    ):
        found = report(SENT, flags=3 | flags, recipient=with_notify(notify))
        reason = traced("delivered to maildir")
        told = append("2.0.0", reason, "delivered", flags, notify)
        assert found.done
        assert found.requests == [("private/trace", told)] * times
        assert len(logged) == 1

    def test_a_delivery_whose_trace_is_lost_is_deferred(self, logged):
        found = report(SENT, flags=RECORD, answers={"private/trace": DOWN})
        assert not found.done
        assert found.services == ["private/trace", "private/defer", "private/trace"]
        reason = "3F1A2B4C5D: trace service failed"
        assert found.requests[1][1] == append("4.3.0", reason, "delayed", RECORD)
        assert logged[0] == "warning: 3F1A2B4C5D: trace service failure"
        assert log_line("4.3.0", reason, "deferred") in logged
        assert not any("status=sent" in one for one in logged)

    def test_a_lost_success_notice_defers_too(self, logged):
        recipient = with_notify(NOTIFY_SUCCESS)
        found = report(SENT, recipient=recipient, answers={"private/trace": DOWN})
        assert not found.done
        assert found.services == ["private/trace", "private/defer"]

    def test_record_traces_a_bounce_and_a_deferral(self, logged):
        found = report(BOUNCED, flags=RECORD)
        assert found.done
        assert found.requests == [
            ("private/bounce", append("5.1.1", "unknown user", "failed", RECORD)),
            (
                "private/trace",
                append("5.1.1", traced("unknown user"), "failed", RECORD),
            ),
        ]
        found = report(DEFERRED, flags=RECORD)
        assert not found.done
        assert found.requests == [
            ("private/defer", append("4.2.0", "no lock", "delayed", RECORD)),
            ("private/trace", append("4.2.0", traced("no lock"), "delayed", RECORD)),
        ]


class TestServiceDown:
    REASON = "bounce or trace service failure"

    def test_a_bounce_that_nobody_took_is_a_deferral(self, logged):
        found = report(BOUNCED, answers={"private/bounce": DOWN})
        assert not found.done
        assert found.services == ["private/bounce", "private/defer"]
        assert found.requests[1][1] == append("4.3.0", self.REASON, "delayed")
        assert logged == [log_line("4.3.0", self.REASON, "deferred")]

    def test_a_bounce_whose_trace_is_lost_is_a_deferral(self, logged):
        found = report(BOUNCED, flags=RECORD, answers={"private/trace": DOWN})
        assert not found.done
        assert found.services[:3] == [
            "private/bounce",
            "private/trace",
            "private/defer",
        ]
        assert log_line("4.3.0", self.REASON, "deferred") in logged
        assert not any("status=bounced" in one for one in logged)

    def test_a_deferral_that_nobody_took_is_logged(self, logged):
        found = report(DEFERRED, answers={"private/defer": DOWN})
        assert not found.done
        assert found.services == ["private/defer"]
        assert logged == [
            "warning: 3F1A2B4C5D: defer service failure",
            log_line("4.2.0", "no lock", "deferred"),
        ]

    @pytest.mark.parametrize("answer", [-1, 1, 2, 0x7FFF_FFFF])
    def test_only_zero_is_success(self, logged, answer):
        assert not report(BOUNCED, answers={"private/bounce": answer}).done


class TestSoftBounce:
    def test_a_bounce_is_told_to_the_defer_service(self, logged):
        found = report(BOUNCED, soft_bounce=True)
        assert not found.done
        assert found.requests == [
            ("private/defer", append("4.1.1", "unknown user", "delayed"))
        ]
        assert logged == [log_line("4.1.1", "unknown user", "SOFTBOUNCE")]

    def test_a_soft_bounce_is_traced(self, logged):
        found = report(BOUNCED, soft_bounce=True, flags=RECORD)
        assert not found.done
        assert found.services == ["private/defer", "private/trace"]

    def test_a_deferral_and_a_delivery_are_as_ever(self, logged):
        assert report(SENT, soft_bounce=True).done
        assert report(DEFERRED, soft_bounce=True).services == ["private/defer"]
        assert logged[1] == log_line("4.2.0", "no lock", "deferred")


class TestFilter:
    def test_a_deferral_becomes_a_bounce(self, logged):
        found = report(DEFERRED, maps="static:{5.7.1 go away}")
        assert found.done
        assert found.requests == [
            ("private/bounce", append("5.7.1", "go away", "failed"))
        ]
        assert logged == [log_line("5.7.1", "go away", "bounced")]

    def test_a_bounce_becomes_a_deferral(self, logged):
        found = report(BOUNCED, maps="static:{4.1.1 later}")
        assert not found.done
        assert found.requests == [
            ("private/defer", append("4.1.1", "later", "delayed"))
        ]
        assert logged == [log_line("4.1.1", "later", "deferred")]

    @pytest.mark.parametrize(
        ("value", "status", "reason"),
        [
            ("4.7.0 later", "4.7.0", "later"),
            ("5.7.0 never", "4.3.0", "3F1A2B4C5D: trace service failed"),
        ],
    )
    def test_a_delivery_whose_trace_is_lost_is_never_bounced(
        self, logged, value, status, reason
    ):
        maps = f"regexp:{{{{/^4/ {value}}}}}"
        down = {"private/trace": DOWN}
        found = report(SENT, flags=RECORD, maps=maps, answers=down)
        assert not found.done
        assert found.requests[1] == (
            "private/defer",
            append(status, reason, "delayed", RECORD),
        )

    def test_a_delivery_keeps_its_digit(self, logged):
        found = report(SENT, maps="static:{2.6.0 ok}")
        assert found.done
        assert logged == [log_line("2.6.0", "ok", "sent")]

    @pytest.mark.parametrize(
        ("outcome", "value", "service"),
        [
            (SENT, "4.0.0 x", None),
            (DEFERRED, "2.0.0 x", "private/defer"),
            (BOUNCED, "nonsense", "private/bounce"),
        ],
    )
    def test_a_bad_result_changes_nothing(self, logged, outcome, value, service):
        dsn = outcome.dsn
        found = report(outcome, maps=f"static:{{{value}}}")
        assert found.services == ([service] if service else [])
        assert logged[0] == (
            f"warning: virtual_delivery_status_filter: bad status code: {value}"
        )
        assert f"dsn={dsn.status}," in logged[1]

    def test_a_soft_bounce_is_filtered_before_it_is_softened(self, logged):
        found = report(
            BOUNCED,
            maps="static:{5.7.1 go away}",
            soft_bounce=True,
        )
        assert not found.done
        assert logged == [log_line("4.7.1", "go away", "SOFTBOUNCE")]

    def test_a_probe_shows_the_filtered_status(self, logged):
        found = report(
            BOUNCED,
            flags=MTA_VRFY,
            maps="static:{4.1.1 later}",
        )
        assert {told["recipient_status"] for _, told in found.requests} == {"1"}
        assert {told["reason"] for _, told in found.requests} == {"later"}


class TestFlush:
    @pytest.mark.parametrize("answer", [0, 4])
    def test_deferred_mail_for_a_flush_domain_is_hinted_at(self, logged, answer):
        found = report(DEFERRED, flush="example.com", answers={"public/flush": answer})
        assert not found.done
        assert found.requests[1:] == [
            (
                "public/flush",
                {"request": "add", "site": "example.com", "queue_id": "3F1A2B4C5D"},
            )
        ]
        assert logged == [log_line("4.2.0", "no lock", "deferred")]

    @pytest.mark.parametrize("answer", [-1, 3, 1])
    def test_a_failed_hint_is_logged(self, logged, answer):
        report(DEFERRED, flush="example.com", answers={"public/flush": answer})
        assert logged[1:] == ["warning: 3F1A2B4C5D: flush service failure"]

    def test_the_hint_comes_after_the_trace(self, logged):
        found = report(DEFERRED, flags=RECORD, flush="example.com")
        assert found.services == ["private/defer", "private/trace", "public/flush"]

    @pytest.mark.parametrize(
        "address", [b"new@example.org", b"new", b"new@", b"new@example.com@example.org"]
    )
    def test_there_is_no_hint_for_other_domains(self, logged, address):
        recipient = Recipient(original_recipient=b"", address=address, offset=77)
        found = report(DEFERRED, flush="example.com", recipient=recipient)
        assert found.services == ["private/defer"]

    @pytest.mark.parametrize("outcome", [SENT, BOUNCED])
    def test_there_is_no_hint_for_mail_that_is_done(self, logged, outcome):
        assert "public/flush" not in report(outcome, flush="example.com").services


FUNCTIONS: dict[str, Delivered | Deferred | Bounced] = {
    "sent": SENT,
    "defer_append": Deferred(Dsn("4.3.0", "no space", diagnostic="i/o error")),
    "bounce_append": Bounced(Dsn("5.2.2", "full", diagnostic="i/o error")),
}
SERVICES = ("private/bounce", "private/defer", "private/trace", "private/verify")


@pytest.mark.postfix
@pytest.mark.parametrize("maps", ["", "static:{4.7.1 soft}", "static:{5.7.1 hard}"])
def test_services_and_log_see_what_postfix_would_tell_them(logged, maps):
    """Every flag, outcome and notify value, every service up and down."""
    down = [{}, *({service: DOWN} for service in (*SERVICES, "public/flush"))]
    cases = list(
        itertools.product(
            FUNCTIONS,
            [0, MTA_VRFY, USR_VRFY, RECORD, REC_DLY_SENT, RECORD | REC_DLY_SENT],
            [0, NOTIFY_NEVER, NOTIFY_SUCCESS, NOTIFY_DELAY, NOTIFY_SUCCESS | 8],
            [False, True],
            [False, True],
            down,
        )
    )
    # Postfix lets a filter bounce a delivery that is deferred for want of a trace.
    cases = [
        case
        for case in cases
        if not ("5.7.1" in maps and case[0] == "sent" and "private/trace" in case[-1])
    ]
    assert len(cases) > 1900
    calls = [
        (
            "report",
            function,
            int(flags),
            ["old@example.com", "new@example.com", notify],
            [
                FUNCTIONS[function].dsn.status,
                FUNCTIONS[function].dsn.reason,
                FUNCTIONS[function].dsn.diagnostic,
            ],
            soft_bounce,
            negative_cache,
            answers,
        )
        for function, flags, notify, soft_bounce, negative_cache, answers in cases
    ]
    first = [("use_filter", maps)] if maps else []
    expected = ask([*first, *calls], fast_flush_domains="example.com")[len(first) :]
    for case, genuine in zip(cases, expected, strict=True):
        function, flags, notify, soft_bounce, negative_cache, answers = case
        logged.clear()
        found = report(
            FUNCTIONS[function],
            flags=3 | flags,
            recipient=with_notify(notify),
            maps=maps,
            flush="example.com",
            soft_bounce=soft_bounce,
            address_verify_negative_cache=negative_cache,
            answers=answers,
        )
        result, requests = genuine.result
        told = [
            (service, attributes(request.encode("latin-1")))
            for service, request in requests
        ]
        assert found.requests == told, case
        assert found.done == (result == 0), case
        assert logged == genuine.log, case


class Hears:
    """Whoever observes; what is heard is kept."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.reports: list[Report] = []
        self._failure = failure

    def reported(self, report: Report) -> None:
        self.reports.append(report)
        if self._failure is not None:
            raise self._failure


BOX = Mailbox(b"/mail/bob/", Owner(5000, 5001))
FILLING = Filling(NOTHING, Use(10, 1), Limit(100, 0))


@pytest.mark.parametrize(
    ("outcome", "flags", "options", "status", "word"),
    [
        (SENT, 3, {}, "2.0.0", "sent"),
        (DEFERRED, 3, {}, "4.2.0", "deferred"),
        (BOUNCED, 3, {}, "5.1.1", "bounced"),
        (BOUNCED, 3, {"soft_bounce": True}, "4.1.1", "SOFTBOUNCE"),
        (BOUNCED, 3, {"answers": {"private/bounce": DOWN}}, "4.3.0", "deferred"),
        (SENT, MTA_VRFY, {}, "2.0.0", "deliverable"),
        (SENT, USR_VRFY, {}, "2.0.0", "deliverable"),
        (BOUNCED, USR_VRFY, {}, "5.1.1", "undeliverable"),
        (DEFERRED, 3 | RECORD, {}, "4.2.0", "deferred"),
        (SENT, 3 | RECORD, {}, "2.0.0", "sent"),
    ],
)
def test_who_observes_hears_what_the_log_says(
    logged, outcome, flags, options, status, word
):
    observer = Hears()
    report(
        type(outcome)(outcome.dsn, BOX, FILLING),
        flags=flags,
        observers=[observer],
        **options,
    )
    (heard,) = observer.reports
    (line,) = [line for line in logged if " status=" in line]
    assert f"dsn={status}, status={word} ({heard.dsn.reason})" in line
    assert (heard.dsn.status, heard.word, heard.mailbox) == (status, word, BOX)
    assert heard.filling is FILLING
    assert (heard.relay, heard.recipient) == ("virtual", RECIPIENT)


def test_who_observes_hears_of_corrupt_queue_files_that_the_log_does_not_name(logged):
    observer = Hears()
    report(CorruptQueueFile(), observers=[observer])
    (heard,) = observer.reports
    assert (heard.word, heard.dsn.status, heard.mailbox) == ("corrupt", "", None)
    assert logged == []


def test_an_observer_that_fails_changes_nothing_for_mail_or_others(logged):
    other = Hears()
    assert report(SENT, observers=[Hears(ValueError("a")), other]).done
    assert [heard.word for heard in other.reports] == ["sent"]
    (_, complaint) = logged
    assert complaint == (
        "error: 3F1A2B4C5D: unexpected ValueError: a; the outcome was reported all "
        "the same, please report"
    )
