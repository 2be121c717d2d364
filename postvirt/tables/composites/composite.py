"""Tables that consist of other tables, written "{type:name, type:name}".

Members may have any type, including unionmap and pipemap; "proxy:" before a member is
ignored. A lookup in a member that cannot be opened fails.

The first member decides whether keys are folded, and whether parts of addresses are
looked up.

Parity: what src/util/dict_union.c and src/util/dict_pipe.c have in common.
Differs: Changed members. When a member of a `unionmap:` or `pipemap:` table has
    changed, the log names the whole table; Postfix names the member.
Raises: TableError when the list cannot be read; ConfigError for ":name" in it (Postfix:
    fatal).
"""

from __future__ import annotations

from postvirt.config.braces import balanced
from postvirt.config.lists import split
from postvirt.errors import TableError
from postvirt.tables.context import TableContext
from postvirt.tables.table import Table, TableOptions


def items(type_: str, name: str, form: str) -> tuple[str, ...]:
    """The items between the braces of a name; form describes one for the message."""
    found: tuple[str, ...] = ()
    if name and balanced(name) == len(name):
        found = split(name[1:-1])
    if not found:
        raise bad_syntax(type_, name, form)
    return found


def bad_syntax(type_: str, name: str, form: str) -> TableError:
    """Postfix's error for a name that it cannot parse."""
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
    """Open members; a subclass adds `find`."""

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        names = _members(type_, name)
        # Without UTF-8 each member folds the key itself.
        super().__init__(
            type_, name, options._replace(fold=options.fold and options.utf8_active)
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
