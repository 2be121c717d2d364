"""The log line of one recipient.

Parity: src/global/log_adhoc.c, src/util/format_tv.c, info_log_addr_form.c. pflogsumm
and many other programs parse these lines, so they match byte for byte.
Differs: Negative resolution of delays. A delay_logging_resolution_limit below 0 counts
    as 0. virtual(8) delivers and panics when it logs the delay, before the recipient is
    crossed off, and delivers again and again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from postvirt.codec.quoting import quote_local
from postvirt.config.parameters import Settings
from postvirt.model.report import Report
from postvirt.model.request import SECOND, MessageStats, Recipient
from postvirt.model.text import text
from postvirt.tables.folding import fold

_SIGNIFICANT_DIGITS: Final = 2
# The microseconds of a last digit after so many decimals.
_UNITS: Final = [10**zeros for zeros in range(6, -1, -1)]


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
    decimals = style.max_decimals
    total, before, queued, setup, delivery = delays(stats, report.now)
    return (
        f"{line}, delay={format_delay(total, decimals)}, "
        f"delays={format_delay(before, decimals)}/{format_delay(queued, decimals)}/"
        f"{format_delay(setup, decimals)}/{format_delay(delivery, decimals)}, "
        f"dsn={dsn.status}, status={report.word} ({dsn.reason})"
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


def delays(stats: MessageStats, now: int) -> tuple[int, int, int, int, int]:
    """Microseconds: total, before qmgr(8), in qmgr(8), connection setup, delivery."""
    if stats.delivery_done >= SECOND:
        now = stats.delivery_done
    total = _between(now, stats.incoming_arrival)
    if stats.active_arrival < SECOND:
        return total, total, 0, 0, 0
    before = _between(stats.active_arrival, stats.incoming_arrival)
    if stats.agent_handoff < SECOND:
        return total, before, _between(now, stats.active_arrival), 0, 0
    queued = _between(stats.agent_handoff, stats.active_arrival)
    if stats.connection_setup_done < SECOND:
        return total, before, queued, 0, _between(now, stats.agent_handoff)
    return (
        total,
        before,
        queued,
        _between(stats.connection_setup_done, stats.agent_handoff),
        _between(now, stats.connection_setup_done),
    )


def _between(later: int, earlier: int) -> int:
    return max(0, later - earlier)


def format_delay(microseconds: int, max_decimals: int) -> str:
    """A delay in seconds: two significant digits, at most `max_decimals` decimals.

    Trailing zeros are omitted: 1, 1.5, 0.02, 0.
    """
    if not microseconds:
        return "0"
    insignificant = len(str(microseconds)) - _SIGNIFICANT_DIGITS
    decimals = 6 - min(6, max(insignificant, 6 - max_decimals))
    unit = _UNITS[decimals]
    rounded = (microseconds + unit // 2) // unit
    if not decimals:
        return str(rounded)
    digits = str(rounded).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")
