"""A value as literal text and macro references, without looking anything up.

Operands stay text until they are chosen, so mistakes in the others go unnoticed, as
in Postfix.

Parity: src/util/mac_parse.c and the syntax part of src/util/mac_expand.c.
Raises: ExpansionError with the text that Postfix warns with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postvirt.config.grammar import parser
from postvirt.model.text import text, wire

if TYPE_CHECKING:
    from lark import Token, Tree, UnexpectedInput

BLANKS = " \t\r\n"

# Postfix's own text, with its own quotes.
_OPERATORS_TEXT = '"==" or "!="" or "<"" or "<="" or ">="" or ">"'
_OPERATOR = re.compile(r"([<>!=?+\-*/~&|%]*)([A-Za-z0-9]*)")
COMPARISONS = ("==", "!=", "<", "<=", ">=", ">")


class ExpansionError(Exception):
    """A value that cannot be expanded.

    text      what Postfix warns with
    name      the parameter whose value holds the mistake, "" for the value given
    offset    0-based place of the mistake in that value
    """

    def __init__(self, text: str, offset: int, name: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.offset = offset
        self.name = name


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of text and where it begins in the value."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Literal(Part):
    """Text that stands for itself."""


@dataclass(frozen=True, slots=True)
class Macro(Part):
    """The inside of a reference: `name` of $name, all of {...} of ${...}."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """{left} operator {right}; the suffix is "" or "level"."""

    left: Part
    operator: str
    suffix: str
    right: Part


@dataclass(frozen=True, slots=True)
class Reference:
    """What a macro asks for: a name or a comparison, and the operands of ? and :."""

    subject: str | Comparison
    if_set: Part | None
    if_empty: Part | None


def head(rest: str) -> str:
    """The first 20 bytes, which is what Postfix shows of unexpected text."""
    return text(wire(rest)[:20])


def parts(value: Part) -> tuple[Part, ...]:
    """The literals and macros of a value, in order."""
    if "$" not in value.text:
        return (Literal(value.text, value.offset),) if value.text else ()
    from lark import UnexpectedInput

    try:
        tree = parser("value").parse(value.text, start="text")
    except UnexpectedInput as error:
        raise _broken_text(error, value) from None
    result: list[Part] = []
    for child in tree.children:
        if isinstance(child, str):
            result.append(_plain(child, value.offset))
        else:
            inside = _inside(child, value)
            if not inside.text:
                message = f'empty macro name: "{value.text}"'
                raise ExpansionError(message, inside.offset)
            result.append(Macro(inside.text, inside.offset))
    return tuple(result)


def _plain(token: Token, base: int) -> Part:
    offset = base + (token.start_pos or 0)
    if token.type == "PLAIN":
        return Macro(str(token)[1:], offset + 1)
    return Literal("$" if token.type == "DOLLAR" else str(token), offset)


def _inside(tree: Tree[Token], value: Part) -> Part:
    """What stands between the first and the last token of a braced tree."""
    tokens = [t for t in tree.children if isinstance(t, str) and t.type != "_BLANKS"]
    begin = tokens[0].end_pos or 0
    end = tokens[-1].start_pos or 0
    return Part(value.text[begin:end], value.offset + begin)


def _broken_text(error: UnexpectedInput, value: Part) -> ExpansionError:
    """A "$" without a name, or a "${" or "$(" that never ends."""
    place = _place(error, value.text)
    if value.text[place : place + 1] == "$":
        return ExpansionError(f'empty macro name: "{value.text}"', value.offset + place)
    message = f'truncated macro reference: "{value.text}"'
    return ExpansionError(message, value.offset + len(value.text))


def _place(error: UnexpectedInput, source: str) -> int:
    """The offset of the unexpected text; the end when the text is too short."""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return len(source)
    return error.pos_in_stream if error.pos_in_stream is not None else len(source)


def reference(macro: Macro) -> Reference:
    """The inside of a macro, taken apart."""
    if macro.text.isidentifier() and macro.text.isascii():  # the usual $name
        return Reference(macro.text, None, None)
    from lark import UnexpectedInput

    try:
        tree = parser("value").parse(macro.text, start="reference")
    except UnexpectedInput as error:
        raise _broken_reference(error, macro) from None
    found = {subtree.data: subtree for subtree in tree.iter_subtrees()}
    subject: str | Comparison
    if "left" in found:
        left = _inside(found["left"], macro)
        operator = next(
            t for t in tree.children if isinstance(t, str) and t.strip(BLANKS)
        )
        symbol, suffix = _operator(macro, operator.start_pos or 0, left.text)
        subject = Comparison(left, symbol, suffix, _inside(found["right"], macro))
    else:
        subject = macro.text[: _end(found["name"])].strip(BLANKS)
    return Reference(
        subject,
        _operand(found, "if_set", "yes", macro),
        _operand(found, "if_empty", "no", macro),
    )


def _end(tree: Tree[Token]) -> int:
    """The offset behind the last token of a tree."""
    last = tree.children[-1] if tree.children else None
    return (last.end_pos or 0) if isinstance(last, str) else 0


def _operand(
    found: dict[str, Tree[Token]], rule: str, braced: str, macro: Macro
) -> Part | None:
    """The operand after ? or :, None when there is no such operator."""
    if rule not in found:
        return None
    if braced in found:
        return _inside(found[braced], macro)
    for child in found[rule].children:
        if isinstance(child, str) and child.type == "RANDOM":
            return Part(str(child), macro.offset + (child.start_pos or 0))
    return Part("", macro.offset + len(macro.text))


def _operator(macro: Macro, place: int, left: str) -> tuple[str, str]:
    """The operator and its suffix; the longest run of operator characters counts."""
    match = _OPERATOR.match(macro.text, place)
    symbol, suffix = match.groups() if match else ("", "")
    if symbol not in COMPARISONS:
        rest = head(macro.text[place:])
        message = f'{_OPERATORS_TEXT} expected at: "...{left}}}>>>{rest}"'
        raise ExpansionError(message, macro.offset + place)
    if suffix not in ("", "level"):
        message = f'bad operator suffix at: "...{symbol}>>>{suffix}"'
        raise ExpansionError(message, macro.offset + place + len(symbol))
    return symbol, suffix


def _broken_reference(error: UnexpectedInput, macro: Macro) -> ExpansionError:
    """Postfix's text for what the grammar did not expect."""
    source = macro.text
    place = _place(error, source)
    expected = getattr(error, "accepts", None) or getattr(error, "allowed", None) or ()
    rest = head(source[place:])
    is_comparison = source.lstrip(BLANKS).startswith("{")
    if "RBRACE" in expected:
        place = _last_open(source)
        message = f'unbalanced {{}} in attribute expression: "{source[place:]}"'
    elif is_comparison and ("OPERATOR" in expected or "LBRACE" in expected):
        return _half_comparison(macro, place)
    elif is_comparison and "QMARK" in expected:
        message = f'"?" or ":" expected at: "...}}>>>{rest}"'
    elif "QMARK" in expected or "WORD" in expected:
        # Blanks may end a name; when more follows, they are the mistake.
        place = len(source[:place].rstrip(BLANKS)) or place
        rest = head(source[place:])
        message = f'attribute name syntax error at: "...{source[:place]}>>>{rest}"'
    elif "COLON" in expected:
        group = _group_before(source, place)
        message = f'":" expected at: "...{group}}}>>>{rest}"'
    else:
        group = _group_before(source, place)
        message = f'unexpected input at: "...{group}}}>>>{rest}"'
    return ExpansionError(message, macro.offset + place)


def _half_comparison(macro: Macro, place: int) -> ExpansionError:
    """A left operand without an operator, or without a right operand."""
    source = macro.text
    begin = source.rindex("}", 0, place) + 1
    begin += len(source[begin:]) - len(source[begin:].lstrip(BLANKS))
    left = _group_before(source, begin)
    try:
        symbol, suffix = _operator(macro, begin, left)
    except ExpansionError as error:
        return error
    after = begin + len(symbol) + len(suffix)
    message = (
        f'"{{expression}}" expected at:'
        f' "...{{{left}}} {symbol}>>>{head(source[after:])}"'
    )
    return ExpansionError(message, macro.offset + after)


def _group_before(source: str, end: int) -> str:
    """The inside of the braces that close last before `end`."""
    close = source.rindex("}", 0, end)
    depth = 0
    for index in range(close, -1, -1):
        depth += (source[index] == "}") - (source[index] == "{")
        if depth == 0:
            return source[index + 1 : close]
    return source[:close]


def _last_open(source: str) -> int:
    """Where the outermost brace begins that is never closed."""
    opens: list[int] = []
    for index, character in enumerate(source):
        if character == "{":
            opens.append(index)
        elif character == "}" and opens:
            opens.pop()
    return opens[0] if opens else 0
