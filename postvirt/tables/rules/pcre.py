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

from postvirt.tables.context import TableType
from postvirt.tables.rules import pcre2
from postvirt.tables.rules.pattern_rules import Dialect
from postvirt.tables.rules.pattern_table import PatternTable
from postvirt.tables.rules.pcre2 import Pcre2
from postvirt.tables.rules.rule_file import files


def _compile(pattern: bytes, options: int, *, with_groups: bool) -> Pcre2:  # noqa: ARG001
    return Pcre2(pattern, options)


class PcreTable(PatternTable):
    """Rules of Perl-compatible regular expressions."""

    dialect = Dialect(
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


TYPE = TableType(PcreTable, files, is_text=True)
