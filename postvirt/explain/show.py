"""An explanation as a person reads it, and as a program does.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from postvirt.explain.explainer import Explanation, Verdict
from postvirt.explain.folder_choice import FolderChoice
from postvirt.explain.lookup_trace import LocalDomain, Question
from postvirt.explain.quota_findings import Quota
from postvirt.model.outcome import Dsn
from postvirt.model.text import shown, text

Mood = Literal["good", "bad", "plain"]

_WORDS: dict[Verdict, str] = {
    "delivered": "would be delivered",
    "deferred": "would be deferred",
    "bounced": "would bounce",
    "unknown": "cannot tell",
    "rewritten": "becomes",
}
_ONLY_ROOT = "only root or the owner can check the mailbox"


class Section(NamedTuple):
    """Rows below a title; all rows have the same number of cells.

    moods  of the rows
    """

    title: str
    rows: tuple[tuple[str, ...], ...]
    moods: tuple[Mood, ...]


def headline(explanation: Explanation) -> tuple[str, Mood]:
    """The verdict in one line."""
    if explanation.verdict == "rewritten":
        others = ", ".join(map(text, explanation.others))
        line = f"{text(explanation.address)}: {_WORDS['rewritten']} {others}"
        return shown(line), "plain"
    words = _WORDS[explanation.verdict]
    dsn = explanation.dsn
    if not all(one.leads_here for one in explanation.routing):
        words += ", if it were routed here"
    reason = _ONLY_ROOT if dsn is None else f"{dsn.status} {shown(dsn.reason)}"
    mood: Mood = "good" if explanation.verdict == "delivered" else "bad"
    return f"{shown(text(explanation.address))}: {words}: {reason}", mood


def sections(explanation: Explanation) -> Iterator[Section]:
    """Everything else."""
    yield _section(
        "routing",
        [((shown(one.text),), one.leads_here) for one in explanation.routing],
    )
    yield _section("lookups", [_lookup(one) for one in explanation.lookups])
    yield _section("mailbox", [(row, True) for row in _mailbox(explanation)])
    yield _section(
        "checks",
        [
            ((one.subject, shown(one.text)), one.is_sound)
            for one in explanation.findings
        ],
    )
    yield _section("status", [(row, True) for row in _told(explanation)])
    yield _section("log", [((shown(one),), True) for one in explanation.log])


def _section(title: str, rows: list[tuple[tuple[str, ...], bool]]) -> Section:
    return Section(
        title,
        tuple([row for row, _ in rows]),
        tuple(["plain" if is_sound else "bad" for _, is_sound in rows]),
    )


def _lookup(note: Question | LocalDomain) -> tuple[tuple[str, ...], bool]:
    if isinstance(note, LocalDomain):
        answers = {True: "yes", False: "no", None: "cannot tell"}
        domain = shown(text(note.domain))
        answer = answers[note.is_local]
        return (
            "own domain?",
            domain,
            "mydestination",
            answer,
        ), note.is_local is not None
    table = shown(note.table)
    if note.key is None:
        cells = (note.parameter, "-", table, "skipped: receives only whole addresses")
        return cells, True
    answer = f"error: {note.problem}"
    if not note.problem:
        answer = "not found" if note.value is None else f"= {text(note.value)}"
    key = shown(text(note.key))
    return (note.parameter, key, "  " * note.depth + table, shown(answer)), (
        not note.problem
    )


def _mailbox(explanation: Explanation) -> Iterator[tuple[str, str]]:
    mailbox = explanation.mailbox
    if mailbox is None:
        return
    yield "path", shown(text(mailbox.path))
    folder = explanation.folder
    if folder is not None:
        yield "folder", shown(f"{folder.name}: {folder.why}")
    yield "format", "maildir" if mailbox.is_maildir else "mbox"
    yield "uid", _with_name(mailbox.owner.uid, explanation.user)
    yield "gid", _with_name(mailbox.owner.gid, explanation.group)


def _with_name(number: int, name: str) -> str:
    return f"{number} ({name or 'no account has this number, and none is needed'})"


def _told(explanation: Explanation) -> Iterator[tuple[str, str]]:
    """The status for the sender, if it differs from that of the delivery."""
    dsn, before = explanation.dsn, explanation.unfiltered
    if dsn is None or before is None:
        return
    if (dsn.status, dsn.reason) != (before.status, before.reason):
        yield "by delivery", f"{before.status} {shown(before.reason)}"
        yield "to the sender", f"{dsn.status} {shown(dsn.reason)}"


def plain(explanation: Explanation) -> str:
    """All of it in columns, without a newline at the end."""
    lines = [headline(explanation)[0]]
    for section in sections(explanation):
        if not section.rows:
            continue
        lines.append(f"  {section.title}")
        columns = zip(*section.rows, strict=True)
        widths = [max(map(len, column)) for column in columns]
        for row, mood in zip(section.rows, section.moods, strict=True):
            cells = (f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True))
            mark = "!" if mood == "bad" else " "
            lines.append(f"  {mark} {'  '.join(cells)}".rstrip())
    return "\n".join(lines)


def as_json(explanation: Explanation) -> dict[str, Any]:
    """What `json.dumps` accepts; bytes that are not UTF-8 are surrogates."""
    mailbox = explanation.mailbox
    return {
        "address": text(explanation.address),
        "verdict": explanation.verdict,
        "others": [text(one) for one in explanation.others],
        **_dsn_json(explanation.dsn),
        "before_filter": _dsn_json(explanation.unfiltered),
        "mailbox": mailbox
        and {
            "path": text(mailbox.path),
            "format": "maildir" if mailbox.is_maildir else "mbox",
            "folder": _folder_json(explanation.folder),
            "uid": mailbox.owner.uid,
            "gid": mailbox.owner.gid,
            "user": explanation.user,
            "group": explanation.group,
        },
        "lookups": [_lookup_json(one) for one in explanation.lookups],
        "routing": [
            {"text": one.text, "leads_here": one.leads_here}
            for one in explanation.routing
        ],
        "checks": [
            {"subject": one.subject, "text": one.text, "is_sound": one.is_sound}
            for one in explanation.findings
        ],
        "quota": _quota_json(explanation.quota),
        "log": list(explanation.log),
    }


def _folder_json(folder: FolderChoice | None) -> dict[str, str] | None:
    return folder and {"name": folder.name, "why": folder.why}


def _quota_json(quota: Quota | None) -> dict[str, Any] | None:
    if quota is None:
        return None
    answer = quota.answer
    return {
        "used": answer and answer.use.size_bytes,
        "messages": answer.use.messages if answer and answer.source != "file" else None,
        "limit": quota.limit.size_bytes or None,
        "message_limit": quota.limit.messages or None,
        "percent": None if quota.percent is None else round(quota.percent, 1),
        "source": answer and answer.source,
        "refusal": quota.refused and quota.refused.refusal,
    }


def _dsn_json(dsn: Dsn | None) -> dict[str, str | None]:
    if dsn is None:
        return {"status": None, "reason": None}
    return {"status": dsn.status, "reason": dsn.reason}


def _lookup_json(note: Question | LocalDomain) -> dict[str, Any]:
    if isinstance(note, LocalDomain):
        return {"own_domain": text(note.domain), "answer": note.is_local}
    return {
        "parameter": note.parameter,
        "table": note.table,
        "depth": note.depth,
        "key": None if note.key is None else text(note.key),
        "found": note.value is not None,
        "value": None if note.value is None else text(note.value),
        "error": note.problem,
    }
