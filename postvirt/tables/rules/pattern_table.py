"""A table of rules in one dialect of regular expressions; see `pattern_rules`.

Raises: TableError if the file or the text between the braces cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from postvirt.tables.context import TableContext
from postvirt.tables.rules.pattern_rules import (
    Dialect,
    PatternParser,
    PatternRule,
)
from postvirt.tables.rules.rule_file import Block, first_answer, read_rules
from postvirt.tables.table import Table, TableOptions


class PatternTable(Table):
    """Rules with compiled expressions."""

    fixed = False
    dialect: ClassVar[Dialect]

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        super().__init__(type_, name, options)
        parser = PatternParser(self.dialect, options)
        self._rules = read_rules(type_, name, parser, context.complain)

    def find(self, key: bytes) -> bytes | None:
        """Try the rules in order."""
        return first_answer(self._rules, key)

    def results(self) -> Iterator[bytes]:
        """The results of all rules, but for those with a part of the key in them."""
        waiting = list(reversed(self._rules))
        while waiting:
            rule = waiting.pop()
            if isinstance(rule, Block):
                waiting += reversed(rule.rules)
            elif isinstance(rule, PatternRule) and not rule.result.groups:
                yield rule.result.expand(b"", ())
