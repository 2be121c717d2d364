"""The log line of one recipient.

Parity: src/global/log_adhoc.c, src/util/format_tv.c, info_log_addr_form.c. pflogsumm
and many other programs parse these lines, so they match byte for byte.
Differs: Negative resolution of delays. A delay_logging_resolution_limit below 0 counts
    as 0. virtual(8) delivers and panics when it logs the delay, before the recipient is
    crossed off, and delivers again and again.
"""

from __future__ import annotations

from typing import NamedTuple

from postvirt.codec.quoting import quote_local
from postvirt.config.parameters import Settings
from postvirt.model.report import Report
from postvirt.model.request import MessageStats, Recipient, Timestamp
from postvirt.model.text import text
from postvirt.tables.folding import fold

_MICRO = 1_000_000
_SIGNIFICANT_DIGITS = 2


class LineFormat(NamedTuple):
    """How this instance writes addresses and delays.

    max_decimals      delay_logging_resolution_limit
    external_address  info_log_address_format = external: quoted where needed
    utf8              smtputf8_enable: compare addresses by Unicode
    """

    max_decimals: int
    external_address: bool
    utf8: bool

    @classmethod
    def of(cls, settings: Settings) -> LineFormat:
        """The format that the settings ask for."""
        return cls(
            max_decimals=settings.delay_logging_resolution_limit,
            external_address=settings.info_log_address_format == "external",
            utf8=settings.smtputf8_enable,
        )


def recipient_line(report: Report, style: LineFormat) -> str:
    """The line, without severity."""
    recipient, stats, dsn = report.recipient, report.request.stats, report.dsn
    line = f"{text(report.request.queue_id)}: to=<{written(recipient.address, style)}>"
    if original := original_recipient(recipient, style):
        line += f", orig_to=<{written(original, style)}>"
    line += f", relay={report.relay}"
    if stats.reuse_count > 0:
        line += f", conn_use={stats.reuse_count + 1}"
    total, *stages = [
        format_delay(delay, style.max_decimals) for delay in delays(stats, report.now)
    ]
    return (
        f"{line}, delay={total}, delays={'/'.join(stages)}, dsn={dsn.status}, "
        f"status={report.word} ({dsn.reason})"
    )


def original_recipient(recipient: Recipient, style: LineFormat) -> bytes:
    """The original address, b"" if it is the same but for case."""
    address, original = recipient.address, recipient.original_recipient
    if not original or original == address:
        return b""
    if fold(original, utf8=style.utf8) == fold(address, utf8=style.utf8):
        return b""
    return original


def written(address: bytes, style: LineFormat) -> str:
    """An address as the log shows it."""
    if style.external_address and address:
        address = quote_local(address)
    return text(address)


def delays(stats: MessageStats, now: Timestamp) -> tuple[int, int, int, int, int]:
    """Microseconds: total, before qmgr(8), in qmgr(8), connection setup, delivery."""
    if stats.delivery_done.seconds > 0:
        now = stats.delivery_done
    total = _between(now, stats.incoming_arrival)
    if stats.active_arrival.seconds <= 0:
        return total, total, 0, 0, 0
    before = _between(stats.active_arrival, stats.incoming_arrival)
    if stats.agent_handoff.seconds <= 0:
        return total, before, _between(now, stats.active_arrival), 0, 0
    queued = _between(stats.agent_handoff, stats.active_arrival)
    if stats.connection_setup_done.seconds <= 0:
        return total, before, queued, 0, _between(now, stats.agent_handoff)
    return (
        total,
        before,
        queued,
        _between(stats.connection_setup_done, stats.agent_handoff),
        _between(now, stats.connection_setup_done),
    )


def _between(later: Timestamp, earlier: Timestamp) -> int:
    delay = (later.seconds - earlier.seconds) * _MICRO
    return max(0, delay + later.microseconds - earlier.microseconds)


def format_delay(microseconds: int, max_decimals: int) -> str:
    """A delay in seconds: two significant digits, at most `max_decimals` decimals.

    Trailing zeros are omitted: 1, 1.5, 0.02, 0.
    """
    if not microseconds:
        return "0"
    seconds, rest = divmod(microseconds, _MICRO)
    digits = len(str(microseconds)) - _SIGNIFICANT_DIGITS
    resolution = min(10 ** max(digits, 6 - max_decimals, 0), _MICRO)
    if resolution > 1:
        rest += resolution // 2
        if rest >= _MICRO:
            seconds += 1
            rest -= _MICRO
    if rest < resolution:
        return str(seconds)
    return f"{seconds}.{rest - rest % resolution:06}".rstrip("0")
