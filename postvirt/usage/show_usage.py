"""How full mailboxes are, as a person reads it, and as a program does.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from postvirt.explain.quota_findings import origin_of, source_of
from postvirt.model.text import counted, shown, text
from postvirt.usage.gauge import Usage

_HEADINGS: Final = ("used", "bytes", "limit", "messages", "limit", "mailbox")
_NONE: Final = "-"

# The addresses of a mailbox that a line names.
_MOST_ADDRESSES: Final = 3


def detailed(usage: Usage) -> Iterator[str]:
    """All about a mailbox, in lines."""
    names = ", ".join(shown(text(one)) for one in usage.addresses)
    if usage.answer is None or usage.mailbox is None:
        yield f"{names}: {shown(usage.problem)}"
        return
    percent = "no limit" if usage.percent is None else f"{usage.percent:.1f}% used"
    yield f"{names}: {percent}"
    used = counted_bytes(usage.answer.use.size_bytes)
    if usage.mailbox.is_maildir:
        used += f", {counted_messages(usage.answer.use.messages)}"
    yield f"  used     {used}, {source_of(usage.answer)}"
    yield f"  limit    {_limit(usage)}"
    yield f"  mailbox  {shown(text(usage.mailbox.root))}"


def recounted(usage: Usage, *, is_kept: bool) -> str:
    """What has been counted again; is_kept says whether maildirsize was written."""
    assert usage.answer is not None
    name = shown(text(usage.addresses[0]))
    use, source = usage.answer
    if source == "file":
        return f"{name}: an mbox file: nothing to count"
    if source == "missing":
        return f"{name}: {source_of(usage.answer)}"
    line = f"{name}: {counted_messages(use.messages)}, {counted_bytes(use.size_bytes)}"
    if not is_kept:
        return f"{line}; no maildirsize is kept"
    before = usage.before
    if before is None:
        return f"{line}; there was no valid maildirsize"
    if before != use:
        return (
            f"{line}; maildirsize said {counted_messages(before.messages)},"
            f" {counted_bytes(before.size_bytes)}"
        )
    return line


def counted_bytes(number: int) -> str:
    """As in "1,024 bytes"."""
    return f"{number:,} byte{'' if number == 1 else 's'}"


def counted_messages(number: int) -> str:
    """As in "1,024 messages"."""
    return f"{number:,} message{'' if number == 1 else 's'}"


def _limit(usage: Usage) -> str:
    size, messages = usage.limit
    parts = [
        *([counted_bytes(size)] if size else ()),
        *([counted_messages(messages)] if messages else ()),
    ]
    limit = ", ".join(parts) or "none"
    origin = origin_of(usage.limit, usage.entry)
    return f"{limit} ({origin})" if origin else limit


def table(usages: Sequence[Usage]) -> Iterator[str]:
    """A line for each mailbox, in columns."""
    widths = [len(heading) for heading in _HEADINGS]
    for usage in usages:
        widths = [*map(max, widths, map(len, _row(usage)))]
    for row in chain([_HEADINGS], map(_row, usages)):
        *numbers, last = row
        cells = [f"{cell:>{size}}" for cell, size in zip(numbers, widths, strict=False)]
        yield "  ".join([*cells, last])


def _row(usage: Usage) -> tuple[str, ...]:
    assert usage.answer is not None
    assert usage.mailbox is not None
    use, limit = usage.answer.use, usage.limit
    names = [shown(text(one)) for one in usage.addresses[:_MOST_ADDRESSES]]
    more = len(usage.addresses) - len(names)
    return (
        _NONE if usage.percent is None else f"{usage.percent:.1f}%",
        f"{use.size_bytes:,}",
        f"{limit.size_bytes:,}" if limit.size_bytes else _NONE,
        f"{use.messages:,}" if usage.mailbox.is_maildir else _NONE,
        f"{limit.messages:,}" if limit.messages else _NONE,
        ", ".join(names) + (f" and {more} more" if more else ""),
    )


def summary(usages: Sequence[Usage], shown_usages: Sequence[Usage]) -> str:
    """How many mailboxes there are, and what they hold together."""
    sizes = {one.place: one.answer.use.size_bytes for one in usages if one.answer}
    line = f"{counted(len(sizes), 'mailbox')}, {counted_bytes(sum(sizes.values()))}"
    if len(shown_usages) < len(usages):
        line += f"; {len(shown_usages)} shown"
    return line


def as_json(usage: Usage) -> dict[str, Any]:
    """What `json.dumps` accepts; bytes that are not UTF-8 are surrogates."""
    mailbox, answer, entry = usage.mailbox, usage.answer, usage.entry
    is_maildir = mailbox is not None and mailbox.is_maildir
    return {
        "addresses": [text(one) for one in usage.addresses],
        "mailbox": mailbox
        and {
            "path": text(mailbox.root),
            "format": "maildir" if is_maildir else "mbox",
            "uid": mailbox.owner.uid,
            "gid": mailbox.owner.gid,
        },
        "used": answer and answer.use.size_bytes,
        "messages": answer.use.messages if answer and is_maildir else None,
        "limit": usage.limit.size_bytes or None,
        "message_limit": usage.limit.messages or None,
        "percent": None if usage.percent is None else round(usage.percent, 1),
        "source": answer and answer.source,
        "limit_entry": entry
        and {
            "table": entry.table,
            "key": text(entry.key or b""),
            "value": text(entry.value or b""),
            "is_used": usage.is_entrys,
        },
        "problem": usage.problem or None,
    }
