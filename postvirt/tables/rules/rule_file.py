"""Tables that are lists of rules: where they are read from, and blocks of rules.

The rules are the logical lines of a file, or are written into the name of the table:

    regexp:/etc/postfix/rules
    regexp:{{/^a@/ x}, {/^b@/ y}}

The first rule that matches decides. "if CONDITION" and "endif" on lines of their own
enclose rules that count only if the condition holds; blocks nest, and a block that is
not closed extends to the end. A bad rule is skipped with a complaint.

Parity: src/util/dict_stream.c; what dict_regexp.c, dict_pcre.c and dict_cidr.c have in
    common.
Differs: Directories as rule files. A directory in place of the file of a `regexp:` or
    `pcre:` table is an error, and mail is deferred; virtual(8) reads it as a table
    without rules, and mail bounces.
Raises: TableError if the rules cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from postvirt.config.lists import split
from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.complaint import (
    Complain,
    Complaint,
    Kind,
    missing_or_unusable,
)
from postvirt.tables.context import TableContext
from postvirt.tables.syntax import SPACE, strip_braces
from postvirt.tables.table import TableFile
from postvirt.tables.text_file import logical_lines

Subject_contra = TypeVar("Subject_contra", contravariant=True)
Subject = TypeVar("Subject")

_SPACE = SPACE.encode()


class Rule(Protocol[Subject_contra]):
    """One rule."""

    def answer(self, subject: Subject_contra) -> bytes | None:
        """The result if the rule matches, else None."""


Rules: TypeAlias = "list[Rule[Subject] | Block[Subject]]"


class Block(Generic[Subject]):
    """The rules between "if" and "endif"; line is that of the "if"."""

    __slots__ = ("holds", "line", "rules")

    def __init__(self, line: RuleLine, holds: Callable[[Subject], bool]) -> None:
        self.line: Final = line
        self.holds: Final = holds
        self.rules: Rules[Subject] = []

    def answer(self, subject: Subject) -> Block[Subject] | None:
        """The block itself if the condition holds: its rules are next."""
        return self if self.holds(subject) else None


class EndIf:
    """The end of a block."""


class RuleLine(NamedTuple):
    """A line with a rule.

    type, name   of the table
    number       of the line, from 1
    text         without white space at its end
    level        number of open blocks
    """

    type: str
    name: str
    number: int
    text: bytes
    level: int
    complain: Complain

    @property
    def prefix(self) -> str:
        """How a line of the log about it begins."""
        return f"{self.type} map {self.name}, line {self.number}: "

    def tell(self, text: str, kind: Kind = Kind.LINE) -> None:
        """Complain of something in the line."""
        prefix = f"{self.type} map "
        self.complain(
            Complaint(kind, text, file=self.name, line=self.number, prefix=prefix)
        )


# The rule in a line; None, after a complaint, if there is none.
Parser = Callable[[RuleLine], Rule[Subject] | Block[Subject] | EndIf | None]


def first_answer(rules: Rules[Subject], subject: Subject) -> bytes | None:
    """The result of the first rule that matches, or None.

    Blocks may nest deeper than functions may call each other.
    """
    entered = [iter(rules)]
    while entered:
        for rule in entered[-1]:
            found = rule.answer(subject)
            if found is None:
                continue
            if not isinstance(found, Block):
                return found
            entered.append(iter(found.rules))
            break
        else:
            entered.pop()
    return None


def files(name: str, _context: TableContext) -> tuple[TableFile, ...]:
    """The file with the rules, unless they are in the name."""
    return () if name.startswith("{") else (TableFile(name),)


def read_rules(
    type_: str, name: str, parse: Parser[Subject], complain: Complain
) -> Rules[Subject]:
    """All rules of the table that is called "type:name"."""
    rules: Rules[Subject] = []
    blocks: list[Block[Subject]] = []
    for number, line in _lines(type_, name, complain):
        # Postfix stores C strings, which end at a NUL.
        seen = line.split(b"\0", 1)[0].rstrip(_SPACE)
        rule = parse(RuleLine(type_, name, number, seen, len(blocks), complain))
        if rule is None:
            continue
        if isinstance(rule, EndIf):
            blocks.pop()
            continue
        (blocks[-1].rules if blocks else rules).append(rule)
        if isinstance(rule, Block):
            blocks.append(rule)
    for block in reversed(blocks):
        block.line.tell("IF has no matching ENDIF")
    return rules


def _lines(type_: str, name: str, complain: Complain) -> Iterator[tuple[int, bytes]]:
    if name.startswith("{"):
        try:
            rules = [strip_braces(item) for item in split(strip_braces(name))]
        except ValueError as error:
            raise TableError(f"{type_} map: {error}") from None
        content = wire("".join(f"{rule}\n" for rule in rules))
        return logical_lines(content, name, complain)
    try:
        with open(wire(name), "rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        action = "read" if isinstance(error, IsADirectoryError) else "open"
        why = f"{action} {name}: {error.strerror}"
        raise missing_or_unusable(error, why, name) from None
    return logical_lines(content, name, complain)


def keyword(line: bytes) -> Literal["if", "endif", ""]:
    """The word at the start of a line, in any case, if it is one of these."""
    if _is_word(line, b"if"):
        return "if"
    return "endif" if _is_word(line, b"endif") else ""


def _is_word(line: bytes, word: bytes) -> bool:
    end = len(word)
    return line[:end].lower() == word and not line[end : end + 1].isalnum()


def skip_negations(line: bytes, at: int) -> tuple[bool, int]:
    """Whether the number of "!" there is odd, and where they and white space end."""
    rest = line[at:].lstrip(_SPACE + b"!")
    end = len(line) - len(rest)
    return line.count(b"!", at, end) % 2 == 1, end
