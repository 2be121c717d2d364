"""Tables that are made of other tables, written "{type:name, type:name}".

Members may be of any type, also unionmap and pipemap again; "proxy:" in front of one is
dropped. A member that cannot be opened fails when it is asked.

A key is folded, and parts of addresses are asked for, as the first member has it.

Parity: what src/util/dict_union.c and src/util/dict_pipe.c have in common.
Differs: Changed members. When a member of a `unionmap:` or `pipemap:` table has
    changed, the log names the whole table; Postfix names the member.
Raises: TableError when the list cannot be read; ConfigError for ":name" in it (Postfix:
    fatal).
"""

from __future__ import annotations

from dataclasses import replace

from postvirt.config.lists import split
from postvirt.errors import TableError
from postvirt.tables.context import TableContext
from postvirt.tables.syntax import balanced
from postvirt.tables.table import Table, TableOptions


def items(type_: str, name: str, form: str) -> tuple[str, ...]:
    """What is between the braces of a name; form is how it should look."""
    found: tuple[str, ...] = ()
    if name and balanced(name) == len(name):
        found = split(name[1:-1])
    if not found:
        raise bad_syntax(type_, name, form)
    return found


def bad_syntax(type_: str, name: str, form: str) -> TableError:
    """Postfix's complaint about a name."""
    return TableError(f'bad syntax: "{type_}:{name}"; need "{type_}:{{{form}...}}"')


def _members(type_: str, name: str) -> tuple[str, ...]:
    form = "type:name"
    names = items(type_, name, form)
    if not all(":" in member for member in names):
        raise bad_syntax(type_, name, form)
    return names


def members(name: str, _context: TableContext) -> tuple[str, ...]:
    """The "type:name"s that a table of this name consists of."""
    return _members("", name)


class CompositeTable(Table):
    """Open members; a type adds `find`."""

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        names = _members(type_, name)
        # Without UTF-8 each member folds the key itself.
        super().__init__(
            type_, name, replace(options, fold=options.fold and options.utf8_active)
        )
        self.members = tuple(context.open(member, options) for member in names)
        self.fixed = self.members[0].fixed

    def changed(self) -> bool:
        """Whether the file of a member was rewritten or removed."""
        return any(member.changed() for member in self.members)

    def close(self) -> None:
        """Close the members."""
        for member in self.members:
            member.close()
