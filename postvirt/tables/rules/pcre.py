"""pcre:/path or pcre:{{RULE}, ...} are Perl-compatible regular expressions (PCRE2).

`pattern_rules` says what a rule is, `rule_file` where rules are read from. Flags: "i"
off makes A to Z differ from a to z, "s" off makes "." match no newline, "m" on lets ^
and $ match at newlines, "x" on allows blanks and comments in the pattern, "A" on
anchors it, "E" on lets $ match at the very end only, "U" on makes it not greedy; "X" is
obsolete. Keys are compared as bytes and as they are written.

virtual(8) looks up whole addresses only, and skips rules with $1 in the result.

Parity: src/util/dict_pcre.c.
Raises: TableError if the file or the text between the braces cannot be read.
"""

from __future__ import annotations

from postvirt.tables.context import TableContext, TableType
from postvirt.tables.rules import pcre2
from postvirt.tables.rules.pattern_rules import Dialect, PatternParser
from postvirt.tables.rules.pcre2 import Pcre2
from postvirt.tables.rules.rule_file import files, first_answer, read_rules
from postvirt.tables.table import Table, TableOptions


def _compile(pattern: bytes, options: int, *, with_groups: bool) -> Pcre2:  # noqa: ARG001
    return Pcre2(pattern, options)


_DIALECT = Dialect(
    type="pcre",
    compile=_compile,
    options=pcre2.CASELESS | pcre2.DOTALL,
    flags={
        "i": pcre2.CASELESS,
        "m": pcre2.MULTILINE,
        "s": pcre2.DOTALL,
        "x": pcre2.EXTENDED,
        "A": pcre2.ANCHORED,
        "E": pcre2.DOLLAR_ENDONLY,
        "U": pcre2.UNGREEDY,
    },
    ignored="X",
    second=False,
    unclosed="ignoring",
    range_word="out of range",
)


class PcreTable(Table):
    """Rules with compiled expressions."""

    fixed = False

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        super().__init__(type_, name, options)
        parser = PatternParser(_DIALECT, options)
        self._rules = read_rules(type_, name, parser, context.complain)

    def find(self, key: bytes) -> bytes | None:
        """Try the rules in order."""
        return first_answer(self._rules, key)


TYPE = TableType(PcreTable, files, is_text=True)
