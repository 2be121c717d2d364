"""A value as literal text and macro references, without looking anything up.

Operands remain text until one is chosen, so mistakes in the others go unnoticed, as in
Postfix. A mistake is among the parts, because Postfix expands the text before it first.

Parity: src/util/mac_parse.c and the syntax part of src/util/mac_expand.c.
Raises: nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from postvirt.config import usual
from postvirt.config.braces import balanced
from postvirt.config.grammar import parser
from postvirt.errors import Mistake
from postvirt.model.text import text, wire

if TYPE_CHECKING:
    from lark import Token, Tree, UnexpectedInput

BLANKS = " \t\r\n"

# Postfix's own text, with its own quotes.
_OPERATORS_TEXT = '"==" or "!="" or "<"" or "<="" or ">="" or ">"'
_OPERATOR = re.compile(r"([<>!=?+\-*/~&|%]*)([A-Za-z0-9]*)")
_LITERAL = re.compile(r"[^$]+")
_PLAIN = re.compile(r"\$([A-Za-z0-9_]+)")
_GROUPS = {"{": "{}", "(": "()"}
COMPARISONS = ("==", "!=", "<", "<=", ">=", ">")

# The same value is often expanded several times.
_REMEMBERED = 1024


class Part(NamedTuple):
    """A piece of text and where it begins in the value."""

    text: str
    offset: int


class Literal(Part):
    """Text without references."""

    __slots__ = ()


class Macro(Part):
    """The inside of a reference: `name` of $name, all of {...} of ${...}."""

    __slots__ = ()


class Comparison(NamedTuple):
    """{left} operator {right}; the suffix is "" or "level"."""

    left: Part
    operator: str
    suffix: str
    right: Part


class Call(NamedTuple):
    """function{argument}."""

    function: str
    argument: Part


class Reference(NamedTuple):
    """The subject of a macro, and the operands of ? and :.

    subject   a name, a comparison or a function of a text; None when the mistake
              comes first
    mistake   what is wrong after all that
    """

    subject: str | Comparison | Call | None
    if_set: Part | None = None
    if_empty: Part | None = None
    mistake: Mistake | None = None

    @property
    def is_bare(self) -> bool:
        """Whether there are no operands and no mistake."""
        return self.if_set is self.if_empty is None and self.mistake is None


def head(rest: str) -> str:
    """The first 20 bytes, which is what Postfix shows of unexpected text."""
    return text(wire(rest)[:20])


@lru_cache(maxsize=_REMEMBERED)
def parts(value: Part) -> tuple[Part | Mistake, ...]:
    """The literals and macros of a value, in order; a mistake is the last one."""
    if "$" not in value.text:
        return (Literal(value.text, value.offset),) if value.text else ()
    result: list[Part | Mistake] = []
    at = 0
    while at < len(value.text):
        part, length = _part(value, at)
        result.append(part)
        if isinstance(part, Mistake):
            break
        at += length
    return tuple(result)


def _part(value: Part, at: int) -> tuple[Part | Mistake, int]:
    """The part that begins there, and its number of characters."""
    source, place = value.text, value.offset + at
    if literal := _LITERAL.match(source, at):
        return Literal(literal[0], place), len(literal[0])
    if source.startswith("$$", at):
        return Literal("$", place), 2
    if plain := _PLAIN.match(source, at):
        return Macro(plain[1], place + 1), len(plain[0])
    kind = _GROUPS.get(source[at + 1 : at + 2])
    if kind is None:
        return _no_name(value, place), 1
    length = balanced(source, at + 1, kind=kind)
    if length == 0:
        message = f'truncated macro reference: "{source}"'
        return Mistake(message, value.offset + len(source)), 1
    inside = source[at + 2 : at + length]
    if not inside:
        return _no_name(value, place + 2), 1
    return Macro(inside, place + 2), 1 + length


def _no_name(value: Part, offset: int) -> Mistake:
    return Mistake(f'empty macro name: "{value.text}"', offset)


def _span(tree: Tree[Token]) -> tuple[int, int]:
    """Where a tree begins and ends in the text that was parsed."""
    return tree.meta.start_pos, tree.meta.end_pos


@lru_cache(maxsize=_REMEMBERED)
def reference(macro: Macro) -> Reference:
    """The inside of a macro, parsed."""
    if macro.text.isidentifier() and macro.text.isascii():  # the usual $name
        return Reference(macro.text)
    if usual_form := _usual(macro):
        return usual_form
    from lark import UnexpectedInput

    try:
        return _taken_apart(macro, len(macro.text))
    except UnexpectedInput as error:
        return _broken(error, macro)


def _usual(macro: Macro) -> Reference | None:
    """A reference that does not need the grammar."""
    found = usual.operands(macro.text)
    if found is None:
        return None
    place = {name: Part(text, macro.offset + at) for name, (text, at) in found.items()}
    subject: str | Comparison
    if "name" in place:
        subject = place["name"].text
    else:
        suffix = place["suffix"].text if "suffix" in place else ""
        operator = place["operator"].text
        subject = Comparison(place["left"], operator, suffix, place["right"])
    return Reference(subject, place.get("if_set"), place.get("if_empty"))


def _taken_apart(macro: Macro, end: int) -> Reference:
    """The part of a macro up to `end`; raises UnexpectedInput."""
    tree = parser("value").parse(macro.text[:end], start="reference")
    found = {subtree.data: subtree for subtree in tree.iter_subtrees()}
    subject: str | Comparison | Call
    if "left" in found:
        left = _inside(found["left"], macro)
        operator = next(t for t in tree.children if isinstance(t, str))
        checked = _operator(macro, operator.start_pos or 0, left.text)
        if isinstance(checked, Mistake):
            return Reference(None, mistake=checked)
        subject = Comparison(left, *checked, _inside(found["right"], macro))
    elif "argument" in found:
        function = next(t for t in tree.children if isinstance(t, str))
        subject = Call(str(function), _inside(found["argument"], macro))
    else:
        subject = "".join([str(word) for word in found["name"].children])
    if_set = _operand(found["if_set"], macro) if "if_set" in found else None
    if_empty = _operand(found["if_empty"], macro) if "if_empty" in found else None
    return Reference(subject, if_set, if_empty)


def _inside(tree: Tree[Token], macro: Macro) -> Part:
    """What stands between the braces of an operand."""
    begin, end = _span(tree)
    return Part(macro.text[begin + 1 : end - 1], macro.offset + begin + 1)


def _operand(tree: Tree[Token], macro: Macro) -> Part:
    """The operand after ? or :, with braces or without; it is the first child."""
    for child in tree.children:
        if isinstance(child, str):
            return Part(str(child), macro.offset + (child.start_pos or 0))
        return _inside(child, macro)
    return Part("", macro.offset + len(macro.text))


def _operator(macro: Macro, place: int, left: str) -> tuple[str, str] | Mistake:
    """The operator and its suffix; the longest run of operator characters counts."""
    match = _OPERATOR.match(macro.text, place)
    symbol, suffix = match.groups() if match else ("", "")
    if symbol not in COMPARISONS:
        rest = head(macro.text[place:])
        message = f'{_OPERATORS_TEXT} expected at: "...{left}}}>>>{rest}"'
        return Mistake(message, macro.offset + place)
    if suffix not in ("", "level"):
        message = f'bad operator suffix at: "...{symbol}>>>{suffix}"'
        return Mistake(message, macro.offset + place + len(symbol))
    return symbol, suffix


def _broken(error: UnexpectedInput, macro: Macro) -> Reference:
    """The part that is correct, and Postfix's text for what the grammar rejected."""
    source = macro.text
    place = _place(error, source)
    expected = getattr(error, "accepts", None) or getattr(error, "allowed", None) or ()
    is_comparison = source.lstrip(BLANKS).startswith("{")
    before = None  # the end of what Postfix reads before it finds the mistake
    if "RBRACE" in expected:
        place = _last_open(source)
        message = f'unbalanced {{}} in attribute expression: "{source[place:]}"'
        operator = source[:place].rstrip(BLANKS)
        if operator.endswith(("?", ":")):
            before = len(operator) - 1
        elif is_comparison and operator:  # the right operand
            left, begin = _left_operand(source, place)
            checked = _operator(macro, begin, left)
            if isinstance(checked, Mistake):
                return Reference(None, mistake=checked)
    elif is_comparison and ("OPERATOR" in expected or "LBRACE" in expected):
        return Reference(None, mistake=_half_comparison(macro, place))
    elif is_comparison and "QMARK" in expected:
        message = f'"?" or ":" expected at: "...}}>>>{head(source[place:])}"'
        before = place
    elif "QMARK" in expected or "WORD" in expected:
        # Blanks may end a name; when more follows, they are the mistake.
        place = len(source[:place].rstrip(BLANKS)) or place
        rest = head(source[place:])
        message = f'attribute name syntax error at: "...{source[:place]}>>>{rest}"'
    else:
        what = '":" expected' if "COLON" in expected else "unexpected input"
        rest = head(source[place:])
        message = f'{what} at: "...{_group_before(source, place)}}}>>>{rest}"'
        before = place
    mistake = Mistake(message, macro.offset + place)
    if before is None:
        return Reference(None, mistake=mistake)
    from lark import UnexpectedInput

    try:
        earlier = _taken_apart(macro, before)
    except UnexpectedInput:  # before it, there is an operand without an operator
        return Reference(None, mistake=_half_comparison(macro, before))
    return earlier if earlier.mistake else earlier._replace(mistake=mistake)


def _place(error: UnexpectedInput, source: str) -> int:
    """The offset of the unexpected text; the end when the text is too short."""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return len(source)
    return error.pos_in_stream if error.pos_in_stream is not None else len(source)


def _half_comparison(macro: Macro, place: int) -> Mistake:
    """A left operand without an operator, or without a right operand."""
    source = macro.text
    left, begin = _left_operand(source, place)
    checked = _operator(macro, begin, left)
    if isinstance(checked, Mistake):
        return checked
    symbol, suffix = checked
    after = begin + len(symbol) + len(suffix)
    message = (
        f'"{{expression}}" expected at:'
        f' "...{{{left}}} {symbol}>>>{head(source[after:])}"'
    )
    return Mistake(message, macro.offset + after)


def _left_operand(source: str, end: int) -> tuple[str, int]:
    """The last operand before `end`, and where what follows it begins."""
    begin = source.rindex("}", 0, end) + 1
    begin += len(source[begin:]) - len(source[begin:].lstrip(BLANKS))
    return _group_before(source, begin), begin


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
