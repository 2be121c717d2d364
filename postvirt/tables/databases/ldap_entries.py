"""The values of a lookup, from the entries of a directory.

    result_attribute             the attributes whose values are results
    special_result_attribute     attributes whose values are names of other entries, or
                                 LDAP URLs, which are searched for further values
    leaf_result_attribute        results only if an entry has no special attribute
    terminal_result_attribute    if an entry has one, only its values are results

An attribute with options ("mail;lang-de") is treated as the one without.

Parity: dict_ldap_get_values() of src/global/dict_ldap.c.
Differs: Terminal LDAP entries. Each entry of an LDAP answer is judged by itself; in
    Postfix, an entry with a terminal or special attribute makes the entries after it
    count as such, too.
Differs: LDAP URLs. A special_result_attribute with a URL that is not UTF-8 is an error.
Raises: TableError when a limit is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

import ldap

from postvirt.errors import TableError
from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.databases.ldap_directory import is_url

_EVERYTHING = "(objectClass=*)"
# As libldap spells them, in any case.
_URL_SCOPES = {
    "": ldap.SCOPE_BASE,
    "base": ldap.SCOPE_BASE,
    "one": ldap.SCOPE_ONELEVEL,
    "onelevel": ldap.SCOPE_ONELEVEL,
    "sub": ldap.SCOPE_SUBTREE,
    "subtree": ldap.SCOPE_SUBTREE,
    "children": ldap.SCOPE_SUBORDINATE,
    "subord": ldap.SCOPE_SUBORDINATE,
    "subordinate": ldap.SCOPE_SUBORDINATE,
}

# The name of an entry, and the values of its attributes.
Entry = tuple[str, Mapping[str, Sequence[bytes]]]


class Attributes(NamedTuple):
    """Names of attributes, by the purpose of their values."""

    terminal: tuple[str, ...]
    leaf: tuple[str, ...]
    regular: tuple[str, ...]
    special: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """The attributes to ask the directory for."""
        return self.terminal + self.leaf + self.regular + self.special


class Search(NamedTuple):
    """A search in the directory; scope is libldap's number."""

    base: str
    scope: int
    filter: str
    attributes: tuple[str, ...]


# Performs a search; None means that the base does not exist.
Answer = Callable[[Search], Sequence[Entry] | None]


class Link(NamedTuple):
    """A value of a special attribute."""

    attribute: str
    value: bytes


class Entries:
    """Extracts values from entries.

    size_limit        maximal number of entries that a search may find, 0 for no limit
    recursion_limit   maximal number of searches that lead from one to the next
    """

    def __init__(
        self,
        title: str,
        attributes: Attributes,
        *,
        size_limit: int,
        recursion_limit: int,
    ) -> None:
        self.attributes = attributes
        self._title = title
        self._size_limit = size_limit
        self._recursion_limit = recursion_limit

    def values(self, entries: Sequence[Entry], search: Answer) -> Iterator[bytes]:
        """The values in entries, and in the entries that they lead to.

        search performs a further search.
        """
        unread = [self._parts(entries)]
        while unread:
            part = next(unread[-1], None)
            if part is None:
                unread.pop()
            elif isinstance(part, bytes):
                yield part
            elif len(unread) >= self._recursion_limit:
                raise self._failure(
                    "Recursion limit exceeded for special attribute"
                    f" {part.attribute}={text(part.value)}"
                )
            else:
                unread.append(self._parts(self._follow(part.value, search)))

    def _parts(self, entries: Sequence[Entry]) -> Iterator[bytes | Link]:
        """The values in entries, and the links to other entries."""
        if 0 < self._size_limit < len(entries):
            raise self._failure(f"Query size limit ({self._size_limit}) exceeded")
        for _, found in entries:
            has = {name.lower() for name, values in found.items() if values}
            is_terminal = not has.isdisjoint(_lower(self.attributes.terminal))
            is_leaf = has.isdisjoint(_lower(self.attributes.special))
            for name, values in found.items():
                kind = self._kind(name)
                if is_terminal:
                    if kind == "terminal":
                        yield from values
                elif kind == "special":
                    yield from (Link(name, value) for value in values)
                elif kind == "regular" or (kind and is_leaf):
                    yield from values

    def _kind(self, name: str) -> str | None:
        """The first list of attributes that contains this one, or its base."""
        for kind in ("terminal", "leaf", "regular", "special"):
            if any(_is_subtype(one, name) for one in getattr(self.attributes, kind)):
                return kind
        return None

    def _follow(self, value: bytes, search: Answer) -> Sequence[Entry]:
        """The entries that the value of a special attribute leads to."""
        shown = text(value)
        if is_url(shown):
            try:
                question = self._of_url(shown)
            except ValueError as error:
                raise self._failure(f"malformed URL {shown}: {error}") from None
            if not question.attributes:
                return ()
        else:
            question = Search(shown, ldap.SCOPE_BASE, _EVERYTHING, self.attributes.all)
        found = search(question)
        if found is None:
            log.warning(f"{self._title}: DN {shown} not found, skipping")
            return ()
        return found

    def _of_url(self, url: str) -> Search:
        """The search that a URL means, whatever its host; see RFC 4516."""
        parts = url.split("://", 1)[1].partition("/")[2].split("?")
        if len(parts) > 5 or parts[4:] == [""]:
            raise ValueError("bad extensions")
        parts += [""] * 4
        base, names, scope, filter_ = (
            unquote(part, errors="strict") for part in parts[:4]
        )
        if scope.lower() not in _URL_SCOPES:
            raise ValueError(f"bad scope {scope}")
        attributes = self.attributes.all
        if names:
            # Of "mail" and "mail;lang-de", ask for the more specific one.
            pairs = [(one, ours) for one in names.split(",") for ours in attributes]
            attributes = tuple(
                ours if _is_subtype(one, ours) else one
                for one, ours in pairs
                if _is_subtype(one, ours) or _is_subtype(ours, one)
            )
        return Search(
            base, _URL_SCOPES[scope.lower()], filter_ or _EVERYTHING, attributes
        )

    def _failure(self, reason: str) -> TableError:
        reason = f"{self._title}: {reason}"
        log.warning(reason)
        return TableError(reason)


def _lower(names: Sequence[str]) -> list[str]:
    return [name.lower() for name in names]


def _is_subtype(base: str, name: str) -> bool:
    """Whether an attribute is this base, or the base with options."""
    base, name = base.lower(), name.lower()
    return name == base or name.startswith(f"{base};")
