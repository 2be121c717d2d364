"""Replace $name, ${name?...} and the like in a parameter value.

The caller looks names up; None means that a name is unknown, which expands to nothing.
As in Postfix, a mistake does not end the expansion at once: the text after it is still
read, and may contain more mistakes.

Parity: src/util/mac_expand.c.
Differs: Endless expansion. A value of main.cf whose expansion needs too many
    references, becomes too long, or nests comparisons too deeply is an error; in
    Postfix it takes all memory or crashes the program.
Raises: ConfigError with the mistakes that Postfix warns about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from postvirt.config.comparing import TooBigError, compare
from postvirt.config.domain_names import FUNCTIONS
from postvirt.config.reference import (
    Call,
    Comparison,
    Literal,
    Macro,
    Part,
    parts,
    reference,
)
from postvirt.errors import ConfigError, Mistake

Lookup = Callable[[str], str | None]

MACRO_ERROR = "dictionary mail_dict: macro processing error"

# Postfix gives up beyond this depth; a loop is found that way too.
MAX_NESTING = 101
TOO_DEEP = "unreasonable macro call nesting"
# In one value: far more than a readable configuration needs.
MAX_REFERENCES = 20_000
MAX_CHARACTERS = 1 << 24

_SHOWN_CHARACTERS = 100


def expand(
    value: str, lookup: Lookup, name: str = "", *, fatal: str = MACRO_ERROR
) -> str:
    """The value of parameter `name` with every reference replaced.

    fatal   what Postfix ends with after its warnings, for most mistakes
    Raises: ConfigError with at least one mistake.
    """
    if "$" not in value:
        return value
    work = _Work(lookup, fatal, is_scan=False)
    context = _Context(work, depth=0)
    context.text(Part(value, 0), name)
    if work.mistakes:
        raise ConfigError(fatal, mistakes=tuple(work.mistakes))
    return "".join(context.result)


def scan(
    value: str, visit: Callable[[str], object], name: str = ""
) -> tuple[Mistake, ...]:
    """Visit every name that a value refers to, in each operand; return the mistakes.

    Names are not followed: their values are not scanned.
    """

    def lookup(found: str) -> None:
        visit(found)

    work = _Work(lookup, "", is_scan=True)
    if "$" in value:
        try:
            _Context(work, depth=0).text(Part(value, 0), name)
        except ConfigError as error:
            return error.mistakes
    return tuple(work.mistakes)


class _Work:
    """What all contexts of one expansion share."""

    def __init__(self, lookup: Lookup, fatal: str, *, is_scan: bool = False) -> None:
        self.lookup: Final = lookup
        self.fatal: Final = fatal
        self.is_scan: Final = is_scan
        self.mistakes: list[Mistake] = []
        self._references = 0
        self._characters = 0

    def spend(
        self, piece: Part, name: str, *, references: int = 0, characters: int = 0
    ) -> None:
        """Count the work, and end an expansion that gets out of hand."""
        self._references += references
        self._characters += characters
        if self._references > MAX_REFERENCES or self._characters > MAX_CHARACTERS:
            shown = piece.text[:_SHOWN_CHARACTERS]
            message = f'unreasonable macro expansion size: "{shown}"'
            mistake = Mistake(message, piece.offset, name)
            raise ConfigError(self.fatal, mistakes=(*self.mistakes, mistake))


class _Context:
    """One text that is being expanded: a value, or an operand of a comparison.

    As in Postfix each has its own result, nesting level and failure.
    depth   the levels of the contexts that this one is in
    """

    def __init__(self, work: _Work, depth: int) -> None:
        self.result: list[str] = []
        self.failed = False
        self._work = work
        self._depth = depth
        self._level = 0

    def text(self, value: Part, name: str) -> None:
        """Expand a value, or an operand of one, that parameter `name` holds."""
        pieces = parts(value)
        tail = _tail(pieces)
        for index, piece in enumerate(pieces):
            is_over = self.failed and not self._work.is_scan
            if is_over and (index >= tail or _is_in_braces(piece, value)):
                return  # Postfix stops reading the value here
            if isinstance(piece, Mistake):
                self._warn(piece, name)
            else:
                self._piece(piece, name)

    def _warn(self, mistake: Mistake, name: str) -> None:
        self._work.mistakes.append(mistake._replace(parameter=name))
        self.failed = True

    def _piece(self, piece: Part, name: str) -> None:
        # A mistake leaves the level where it was, which can cause more warnings.
        if self._level + self._depth >= MAX_NESTING:
            self._work.spend(piece, name, references=1)
            message = f'{TOO_DEEP}: "{piece.text}"'
            self._warn(Mistake(message, piece.offset), name)
        self._level += 1
        if self.failed:
            return
        if isinstance(piece, Literal):
            if not self._work.is_scan:
                length = len(piece.text)
                self._work.spend(piece, name, characters=length)
                self.result.append(piece.text)
        else:
            self._work.spend(piece, name, references=1)
            if not self._macro(Macro(piece.text, piece.offset), name):
                return
        self._level -= 1

    def _macro(self, macro: Macro, name: str) -> bool:
        """Expand a reference; False when a mistake in itself stopped it."""
        found = reference(macro)
        if isinstance(found.subject, str):
            value = self._work.lookup(found.subject)
            if found.is_bare:
                if value:
                    self.text(Part(value, 0), found.subject)
                return True
        elif isinstance(found.subject, Comparison):
            truth = self._compare(found.subject, name)
            if truth is None:
                return False
            value = truth
            if found.is_bare:
                self.result.append(value)
        elif isinstance(found.subject, Call):
            value = None
            self._call(found.subject, name)
        else:
            value = None
        if found.if_set is not None and (value or self._work.is_scan):
            self.text(found.if_set, name)
        if found.if_empty is not None and (not value or self._work.is_scan):
            self.text(found.if_empty, name)
        if found.mistake is not None:
            self._warn(found.mistake, name)
            return False
        return True

    def _operand(self, part: Part, name: str) -> str:
        context = _Context(self._work, self._depth + self._level)
        context.text(part, name)
        self.failed |= context.failed
        return "".join(context.result)

    def _compare(self, comparison: Comparison, name: str) -> str | None:
        """Postfix's truth values, "true" and the empty text; None for a mistake."""
        left = self._operand(comparison.left, name)
        right = self._operand(comparison.right, name)
        if self._work.is_scan:
            return None if self.failed else ""
        place = comparison.left.offset
        try:
            truth = compare(left, comparison.operator, comparison.suffix, right)
        except TooBigError as error:
            mistake = Mistake(str(error), place, name)
            mistakes = (*self._work.mistakes, mistake)
            raise ConfigError(str(error), mistakes=mistakes) from None
        except ValueError as error:
            self._warn(Mistake(str(error), place), name)
            return None
        if self.failed:
            return None
        return "true" if truth else ""

    def _call(self, call: Call, name: str) -> None:
        argument = self._operand(call.argument, name)
        if self.failed or self._work.is_scan:
            return
        try:
            self.result.append(FUNCTIONS[call.function](argument))
        except ValueError as error:
            self._warn(Mistake(str(error), call.argument.offset), name)


def _tail(pieces: Sequence[Part | Mistake]) -> int:
    """Where the literal text at the end begins."""
    tail = len(pieces)
    while tail and isinstance(pieces[tail - 1], Literal):
        tail -= 1
    return tail


def _is_in_braces(piece: Part | Mistake, value: Part) -> bool:
    """Whether it is a reference such as ${name}."""
    if not isinstance(piece, Macro):
        return False
    return value.text[piece.offset - value.offset - 1] in "{("
