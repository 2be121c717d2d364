"""Comments behind values: Postfix has none, so that they become part of the value.

A comment is a line whose first character that is not white space is "#". It may be in
the middle of a value, between its lines. Within braces, and in texts for people, shells
and databases, "#" means something else.

Parity: src/util/readlline.c.
Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from postvirt.config.config_files import text_of
from postvirt.config.expansion import scan
from postvirt.config.legacy_tables import SUFFIXES, tables_in
from postvirt.config.logical_lines import SPACE, continues, origin
from postvirt.config.main_cf import Assignment
from postvirt.config.master_cf import MasterCf
from postvirt.errors import ConfigError
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import assign
from postvirt.inspection.files.unused_names import (
    installed_names,
    known_names,
    referred_names,
)
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.model.origin import Origin

# A brace, or the "#" of a comment: not that of "pass#word", "#ff0000," or "a#b".
_FOUND = re.compile(r"[{}]|(?<=[ \t])#(?=\s|[^\W_]|$)")

# The end of a logical line.
_NEXT = re.compile(r"\n(?=[^\s#])")

# Texts for people and for shells.
_TEXTS = frozenset(
    {
        "debugger_command",
        "default_rbl_reply",
        "luser_relay",
        "mail_name",
        "mailbox_command",
        "multi_instance_wrapper",
        "postscreen_greet_banner",
        "postscreen_reject_footer",
        "smtpd_banner",
        "smtpd_reject_footer",
        "undisclosed_recipients_header",
    }
)
_ENDS_OF_TEXTS = ("_banner", "_command", "_footer", "_header", "_message", "_reply")
# Of tables: what the database reads, and passwords.
ENDS_OF_QUERIES = (
    "additional_conditions",
    "bind_pw",
    "password",
    "query",
    "query_filter",
    "result_filter",
    "result_format",
    "search_base",
)
# One character of these is a value.
_OF_CHARACTERS = frozenset({"recipient_delimiter", "verp_delimiter_filter"})
# What Postfix reads of a time ends with its unit.
_TIME = re.compile(r"[0-9]+[smhdw]\s+")

# What to do about a comment.
BEHIND_NO_VALUE = 'remove it, or put it on a line of its own, which begins with "#"'


def check_comments(files: Files) -> Iterator[Problem]:
    """The values of both files that contain one."""
    used = known_names(files) | referred_names(files)
    if not used.issuperset(files.assigned):
        used |= installed_names(files)
    within_texts = names_of_texts(files)
    last = {one.name: one for one in files.main_cf.assignments}
    for assignment in last.values():
        if assignment.name in used and assignment.name not in within_texts:
            yield from _in_value(files, assignment)
    if files.master_cf is not None:
        yield from _in_entries(files.master_cf, within_texts)


def names_of_texts(files: Files) -> set[str]:
    """The parameters of main.cf that are texts, and what these refer to."""
    names = {one.name for one in files.main_cf.assignments}
    found = {name for name in names if name in _TEXTS or name.endswith(_ENDS_OF_TEXTS)}
    for name in tuple(found):
        scan(files.assigned.get(name, ""), found.add)
    for name in names:
        for type_, table in tables_in(files.expanded(name), lambda _: None):
            found.update(
                f"{table}_{end}" for end in ENDS_OF_QUERIES if end in SUFFIXES[type_]
            )
    return found


def begin_of_comment(raw: str) -> int:
    """Where the text of a value has one; -1 if it has none.

    The text may have several lines, as in the file, with comments of their own.
    """
    depth = begin = 0
    for number, line in enumerate(raw.split("\n")):
        if number == 0 or continues(line):
            for found in _FOUND.finditer(line):
                if found[0] == "#" and depth == 0:
                    return begin + found.start()
                depth = max(0, depth + {"{": 1, "}": -1}.get(found[0], 0))
        begin += len(line) + 1
    return -1


def _in_value(files: Files, assignment: Assignment) -> Iterator[Problem]:
    name, raw = assignment.name, assignment.raw
    at = begin_of_comment(raw)
    if at < 0 or _is_harmless(name, assignment.value):
        return
    commands: Commands = ()
    if "\n" not in raw.rstrip(SPACE):
        commands = assign(files, name, raw[:at].strip(SPACE))
    main_cf = files.main_cf
    place = origin(main_cf.path, main_cf.text, assignment.start + at)
    yield _problem(name, raw[at:], place, name, commands)


def _is_harmless(name: str, value: str) -> bool:
    return (name in _OF_CHARACTERS and value == "#") or bool(_TIME.match(value))


def _in_entries(master_cf: MasterCf, within_texts: set[str]) -> Iterator[Problem]:
    """Options in braces, and what else is among the arguments of an entry."""
    try:
        text = text_of(master_cf.path)
    except ConfigError:
        return
    for service in master_cf.services:
        for option in service.options:
            at = begin_of_comment(option.value)
            if at >= 0 and option.name not in within_texts:
                column = option.origin.column + at
                place = option.origin._replace(column=column)
                if column >= len(place.source):  # the value has several lines
                    place = option.origin
                what = f"{service.name}: {option.name}"
                yield _problem(what, option.value[at:], place, option.name)
        begin = _begin_of_line(text, service.origin.line)
        entry = _logical_line(text[begin:])
        at = begin_of_comment(entry)
        if at >= 0:
            place = origin(master_cf.path, text, begin + at)
            yield _problem(service.name, entry[at:], place)


def _begin_of_line(text: str, number: int) -> int:
    """Where it begins; the file may be shorter than it was when it was parsed."""
    return sum(len(line) + 1 for line in text.split("\n")[: number - 1])


def _logical_line(text: str) -> str:
    """The first one, with the comments in it."""
    end = _NEXT.search(text)
    return text[: end.start()] if end else text


def _problem(
    what: str,
    rest: str,
    place: Origin,
    parameter: str = "",
    commands: Commands = (),
) -> Problem:
    comment = rest.split("\n", maxsplit=1)[0].rstrip(SPACE)
    return Problem(
        "PV015",
        f'{what}: "{comment}" is not a comment: Postfix has none behind values',
        "warning",
        parameter,
        place,
        BEHIND_NO_VALUE,
        commands,
    )
