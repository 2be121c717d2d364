"""regexp:/path or regexp:{{RULE}, ...} are POSIX extended regular expressions.

`pattern_rules` says what a rule is, `rule_file` where rules are read from. Flags: "i"
off makes A to Z differ from a to z, "m" on lets ^ and $ match at newlines, "x" off
makes it a basic expression. Keys are compared as bytes and as they are written.

virtual(8) looks up whole addresses only, and skips rules with $1 in the result.

Parity: src/util/dict_regexp.c.
Raises: TableError if the file or the text between the braces cannot be read.
"""

from __future__ import annotations

from postvirt.tables.context import TableContext, TableType
from postvirt.tables.rules import posix_regex
from postvirt.tables.rules.pattern_rules import Dialect
from postvirt.tables.rules.pattern_table import PatternTable
from postvirt.tables.rules.posix_regex import PosixRegex, in_c_locale
from postvirt.tables.rules.rule_file import files
from postvirt.tables.table import TableOptions


def _compile(pattern: bytes, options: int, *, with_groups: bool) -> PosixRegex:
    return PosixRegex(pattern, options | (0 if with_groups else posix_regex.NOSUB))


class RegexpTable(PatternTable):
    """Rules of POSIX regular expressions, which depend on the locale."""

    dialect = Dialect(
        type="regexp",
        compile=_compile,
        options=posix_regex.EXTENDED | posix_regex.ICASE,
        flags={
            "i": posix_regex.ICASE,
            "m": posix_regex.NEWLINE,
            "x": posix_regex.EXTENDED,
        },
        ignored="",
        second=True,
        unclosed="skipping",
        range_word="out-of-range",
    )

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        with in_c_locale():
            super().__init__(type_, name, options, context)

    def find(self, key: bytes) -> bytes | None:
        """Try the rules in order."""
        with in_c_locale():
            return super().find(key)


TYPE = TableType(RegexpTable, files, is_text=True)
