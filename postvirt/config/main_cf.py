"""The text of main.cf as assignments, each with its place in the file.

Parity: src/util/split_nameval.c, dict_load_fp in src/util/dict.c.
Raises: nothing; what is wrong is a ConfigError in the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from postvirt.config import usual
from postvirt.config.grammar import parser
from postvirt.config.logical_lines import SPACE, join, origin, orphan, position
from postvirt.errors import ConfigError
from postvirt.model.origin import Origin

if TYPE_CHECKING:
    from lark import Token

MISSING_NAME = "missing attribute name"
MISSING_EQUALS = "missing '=' after attribute name"

_NAME = re.compile(f"[{SPACE}]*([^{SPACE}=]+)[{SPACE}]*")
_NAME_END = re.compile(f"[{SPACE}=]")


class Assignment(NamedTuple):
    """`name = value`; raw is the text of the value from `start` in the file."""

    name: str
    value: str
    line: int
    start: int
    raw: str


class MainCf(NamedTuple):
    """The contents of a main.cf.

    assignments   in the order of the file, with duplicates
    problems      lines that are not assignments (Postfix stops at the first) and,
                  with severity "warning", what Postfix warns about
    """

    path: str
    text: str
    assignments: tuple[Assignment, ...]
    problems: tuple[ConfigError, ...]

    def last_assignment(self, name: str) -> Assignment | None:
        """The effective assignment of a parameter, None if there is none."""
        found = [one for one in self.assignments if one.name == name]
        return found[-1] if found else None

    def name_origin(self, assignment: Assignment) -> Origin:
        """The place where an assignment begins."""
        line = assignment.line
        source = self.text.split("\n", line)[line - 1]
        return Origin(self.path, line, source, 0)

    def value_origin(self, assignment: Assignment, offset: int) -> Origin:
        """The place of the character at an offset into an assignment's value."""
        joined = join(assignment.raw)
        blanks = len(joined) - len(joined.lstrip(SPACE))
        within = position(assignment.raw, blanks + offset)
        return origin(self.path, self.text, assignment.start + within)


def split_nameval(line: str) -> tuple[str, str] | str:
    """Name and value of `name = value`, or Postfix's text for what is missing."""
    name = _NAME.match(line)
    if not name:
        return MISSING_NAME
    if not line.startswith("=", name.end()):
        return MISSING_EQUALS
    return name[1], line[name.end() + 1 :].strip(SPACE)


def parse(text: str, path: str, known: Mapping[str, str]) -> MainCf:
    """Parse the text of the main.cf at `path`; the path is for messages only.

    known    what is set before main.cf is read; another value gives a warning
    """
    assignments: list[Assignment] = []
    problems: list[ConfigError] = []
    values = dict(known)
    lines = text.split("\n")
    usual_lines = usual.lines(text)
    for found in _lines(text) if usual_lines is None else usual_lines:
        if isinstance(found, usual.Line):
            assignment = _assignment(found)
            old = values.get(assignment.name)
            if old is not None and old != assignment.value:
                problems.append(_duplicate(assignment, old, lines, path))
            values[assignment.name] = assignment.value
            assignments.append(assignment)
        elif found.type == "MALFORMED":
            problems.append(_malformed(found, path))
        else:
            problems.append(orphan(found, path))
    return MainCf(path, text, tuple(assignments), tuple(problems))


def _lines(text: str) -> Iterator[usual.Line | Token]:
    """The lines of a main.cf by the grammar; a Token is one that is no assignment."""
    for child in parser("main_cf").parse(text).children:
        if isinstance(child, str):
            yield child
            continue
        # A tree: HEAD and, when there is one, VALUE.
        head, *rest = [token for token in child.children if isinstance(token, str)]
        yield usual.Line(
            str(head), head.line or 0, head.end_pos or 0, str(rest[0]) if rest else ""
        )


def _assignment(line: usual.Line) -> Assignment:
    name = _NAME_END.split(line.head, maxsplit=1)[0]
    return Assignment(name, _logical(line.rest), line.number, line.end, line.rest)


def _duplicate(new: Assignment, old: str, lines: list[str], path: str) -> ConfigError:
    return ConfigError(
        f"{path}, line {new.line}: overriding earlier entry: {new.name}={old}",
        origin=Origin(path, new.line, lines[new.line - 1], 0),
        remedy="keep one of the two lines",
        severity="warning",
    )


def _logical(raw: str) -> str:
    """The value as Postfix stores it; a NUL byte ends it."""
    return join(raw).partition("\0")[0].strip(SPACE)


def _malformed(token: Token, path: str) -> ConfigError:
    line = token.line or 0
    logical = join(token).partition("\0")[0]
    split = split_nameval(logical)
    problem = split if isinstance(split, str) else MISSING_EQUALS
    source = token.split("\n")[0]
    name = _NAME.match(source)
    if problem == MISSING_NAME:
        remedy = "write the name of a parameter before the equals sign"
    else:
        remedy = (
            "write name = value, or start with white space to continue the line above"
        )
    return ConfigError(
        f'{path}, line {line}: {problem}: "{logical}"',
        origin=Origin(path, line, source, name.end() if name else 0),
        remedy=remedy,
    )
