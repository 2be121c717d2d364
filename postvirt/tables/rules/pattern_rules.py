"""The rules of regexp: and pcre: tables.

    /PATTERN/FLAGS RESULT         the first rule that matches decides
    !/PATTERN/FLAGS RESULT        matches when the pattern does not
    /PATTERN/!/PATTERN2/ RESULT   regexp: only; the first matches, the second does not
    if /PATTERN/FLAGS             rules up to "endif" count when it matches;
    endif                         "if !/PATTERN/" when it does not

Any character other than a letter or a digit may be used in place of "/". A flag letter
toggles its option. An expression that fails during a match, because it takes too long,
is treated as a rule that does not match, with a warning.

Parity: what src/util/dict_regexp.c and src/util/dict_pcre.c have in common.
Raises: nothing; a bad rule is skipped with a complaint.
Security: with the option paranoid, rules with $1 in the result are skipped, because
    the sender would choose the mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.complaint import Kind
from postvirt.tables.file_value import encoded_files
from postvirt.tables.rules.expression import Compile, Expression, ExpressionError, Span
from postvirt.tables.rules.rule_file import (
    Block,
    EndIf,
    Rule,
    RuleLine,
    keyword,
    skip_negations,
)
from postvirt.tables.rules.substitution import Result, parse_result
from postvirt.tables.syntax import SPACE
from postvirt.tables.table import TableOptions

_SPACE = SPACE.encode()


class Dialect(NamedTuple):
    """How one kind of regular expressions differs from the other.

    type         "regexp" or "pcre"
    compile      makes an Expression of a pattern and its options
    options      the options without any flags
    flags        flag letters and the options that they change
    ignored      flag letters that are accepted with a warning
    second       whether a rule may have a second pattern
    unclosed     what happens to a rule whose pattern has no end, for the warning
    range_word   "out of range", as the type spells it
    """

    type: str
    compile: Compile
    options: int
    flags: Mapping[str, int]
    ignored: str
    second: bool
    unclosed: str
    range_word: str


class _Pattern(NamedTuple):
    source: bytes
    options: int
    negated: bool


class _Condition:
    """A compiled pattern, and whether it must match or must not."""

    __slots__ = ("expression", "line", "negated")

    def __init__(
        self, expression: Expression, line: RuleLine, *, negated: bool
    ) -> None:
        self.expression: Final = expression
        self.negated: Final = negated
        self.line: Final = line

    def match(self, subject: bytes, groups: int = 0) -> tuple[Span, ...] | None:
        """The spans of groups (none if negated) if the condition holds, or None."""
        try:
            spans = self.expression.search(subject, groups)
        except ExpressionError as error:
            log.warning(f"{self.line.prefix}{error}")
            return None
        if self.negated:
            return () if spans is None else None
        return spans

    def holds(self, subject: bytes) -> bool:
        """Whether it does."""
        return self.match(subject) is not None


class PatternRule:
    """A result for what one or two patterns match."""

    __slots__ = ("first", "result", "second")

    def __init__(
        self, first: _Condition, second: _Condition | None, result: Result
    ) -> None:
        self.first: Final = first
        self.second: Final = second
        self.result: Final = result

    def answer(self, subject: bytes) -> bytes | None:
        """The result if the patterns match, else None."""
        spans = self.first.match(subject, self.result.groups)
        if spans is None or (self.second and not self.second.holds(subject)):
            return None
        return self.result.expand(subject, spans)


class _BadRuleError(Exception):
    """A rule cannot be used; the text says why."""

    def __init__(self, why: str, kind: Kind = Kind.LINE) -> None:
        super().__init__(why)
        self.kind = kind


class PatternParser:
    """Reads the rules of one table."""

    def __init__(self, dialect: Dialect, options: TableOptions) -> None:
        self._dialect = dialect
        self._options = options

    def __call__(self, line: RuleLine) -> Rule[bytes] | Block[bytes] | EndIf | None:
        """The rule in a line; None, after a complaint, if there is none."""
        if not line.text:
            return None
        try:
            if not line.text[:1].isalnum():
                return self._rule(line)
            word = keyword(line.text)
            if word == "if":
                return self._block(line)
            if word == "endif":
                return _endif(line)
            raise _BadRuleError("ignoring unrecognized request")
        except _BadRuleError as error:
            line.tell(str(error), error.kind)
            return None

    def _rule(self, line: RuleLine) -> PatternRule:
        first, at = self._pattern(line, 0)
        second = None
        if self._dialect.second and line.text[at : at + 1] == b"!":
            second, at = self._pattern(line, at)
        value = line.text[at:].lstrip(_SPACE)
        if not value:
            line.tell("no replacement text: using empty string", Kind.NO_RESULT)
        if self._options.file_values:
            try:
                value = encoded_files(value)
            except ValueError as error:
                raise _BadRuleError(f"{error}: skipping this rule") from None
        try:
            result = parse_result(value, line, self._dialect.range_word)
        except ValueError:
            raise _BadRuleError("bad replacement syntax: skipping this rule") from None
        if result.groups and first.negated:
            raise _BadRuleError(
                "$number found in negative match replacement text: skipping this rule"
            )
        if result.groups and self._options.paranoid:
            raise _BadRuleError(
                "regular expression substitution is not allowed: skipping this rule",
                Kind.SUBSTITUTION,
            )
        condition = self._compile(line, first, with_groups=result.groups > 0)
        if result.groups > condition.expression.groups:
            raise _BadRuleError(
                f'out of range replacement index "{result.groups}": skipping this rule'
            )
        return PatternRule(
            condition, self._compile(line, second) if second else None, result
        )

    def _block(self, line: RuleLine) -> Block[bytes]:
        start = len(line.text) - len(line.text[len(b"if") :].lstrip(_SPACE))
        pattern, at = self._pattern(line, start)
        extra = line.text[at:].lstrip(_SPACE)
        if extra:
            line.tell(f'ignoring extra text after IF statement: "{text(extra)}"')
            line.tell("do not prepend whitespace to statements between IF and ENDIF")
        return Block(line, self._compile(line, pattern).holds)

    def _pattern(self, line: RuleLine, at: int) -> tuple[_Pattern, int]:
        """The pattern at an offset into the line, and where its flags end."""
        rule = line.text
        negated, at = skip_negations(rule, at)
        if at == len(rule):
            raise _BadRuleError("no regexp: skipping this rule")
        delimiter = rule[at : at + 1]
        begin = at + 1
        end = self._end_of_pattern(rule, begin, delimiter)
        options = self._dialect.options
        at = end + 1
        while at < len(rule) and rule[at] not in _SPACE:
            if self._dialect.second and rule[at : at + 1] == b"!":
                break
            options ^= self._option(line, text(rule[at : at + 1]))
            at += 1
        return _Pattern(rule[begin:end], options, negated), at

    def _end_of_pattern(self, line: bytes, at: int, delimiter: bytes) -> int:
        while at < len(line):
            character = line[at : at + 1]
            if character == delimiter and character != b"\\":
                return at
            if character == b"\\":
                # Where a second pattern may follow, a backslash at the end of the line
                # closes the pattern.
                if at + 1 == len(line) and self._dialect.second:
                    return at
                at += 1
            at += 1
        raise _BadRuleError(
            f'no closing regexp delimiter "{text(delimiter)}":'
            f" {self._dialect.unclosed} this rule"
        )

    def _option(self, line: RuleLine, letter: str) -> int:
        if letter in self._dialect.flags:
            return self._dialect.flags[letter]
        if letter in self._dialect.ignored:
            line.tell(f'ignoring obsolete regexp option "{letter}"')
            return 0
        raise _BadRuleError(f'unknown regexp option "{letter}": skipping this rule')

    def _compile(
        self, line: RuleLine, pattern: _Pattern, *, with_groups: bool = False
    ) -> _Condition:
        try:
            expression = self._dialect.compile(
                pattern.source, pattern.options, with_groups=with_groups
            )
        except ExpressionError as error:
            raise _BadRuleError(str(error)) from None
        return _Condition(expression, line, negated=pattern.negated)


def _endif(line: RuleLine) -> EndIf:
    if line.level == 0:
        raise _BadRuleError("ignoring ENDIF without matching IF")
    if line.text[len(b"endif") :].strip(_SPACE):
        line.tell("ignoring extra text after ENDIF")
    return EndIf()
