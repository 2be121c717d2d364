"""Lists of domains: which are local, and which flush(8) keeps a log for.

A list contains patterns, "type:name" tables and "/files" with more patterns. "!" before
an item excludes from the list what matches it. The first match decides.

A list may name ten thousand domains. Only its tables are asked one after the other;
what a subject is, or is part of, is looked up among the patterns.

Parity: src/util/match_list.c, src/util/match_ops.c.
Raises: TableError when a table fails; ConfigError for "!" without a pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text, wire
from postvirt.system import log
from postvirt.tables.complaint import Complaint, Kind
from postvirt.tables.folding import fold
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import Table, TableOptions


def _is_table(item: str) -> bool:
    return ":" in item and not item.startswith("[")


def _items(
    title: str,
    value: str,
    *,
    warn: bool,
    is_match: bool = True,
    files: tuple[str, ...] = (),
) -> Iterator[tuple[bool, str, OSError | None]]:
    """The items of a list and of the files in it.

    Each comes with whether a match puts a domain into the list, and with the error if
    it is a file that cannot be read.
    """
    end = 0
    for word in split(value):
        end = value.index(word, end) + len(word)
        if word.startswith("#"):
            if warn:
                comment = f"{word} {value[end + 1 :]}"
                log.warning(
                    f"{title}: comment at end of line is not supported: {comment}"
                )
            return
        item = word.lstrip("!")
        wanted = is_match ^ ((len(word) - len(item)) % 2 == 1)
        if not item:
            raise ConfigError(f"{title}: no pattern after '!'")
        if not item.startswith("/"):
            yield wanted, item, None
            continue
        if item in files:
            raise ConfigError(f"{title}: file {item} includes itself")
        try:
            with open(wire(item), "rb") as file:
                lines = [text(line) for line in file if not line.startswith(b"#")]
        except OSError as error:
            yield wanted, item, error
            continue
        for line in lines:
            yield from _items(
                title, line, warn=warn, is_match=wanted, files=(*files, item)
            )


def table_names(title: str, value: str) -> list[str]:
    """The "type:name"s in a list, for `TableOpener.prepare`."""
    return [
        item
        for _, item, error in _items(title, value, warn=False)
        if not error and _is_table(item)
    ]


def has_files(value: str) -> bool:
    """Whether a list names files with more of it."""
    return any(word.lstrip("!").startswith("/") for word in split(value))


def is_plain(value: str) -> bool:
    """Whether a list is patterns alone, and nothing has to be opened or logged."""
    return not any(
        _is_table(word) or word.startswith(("#", "/")) or word == ""
        for word in (one.lstrip("!") for one in split(value))
    )


def patterns(title: str, value: str) -> list[bytes | str]:
    """The items that add a domain: patterns as bytes, and "type:name"s of tables.

    Items after "!" and files that cannot be read are skipped.
    Raises: ConfigError.
    """
    return [
        item if _is_table(item) else wire(item)
        for wanted, item, error in _items(title, value, warn=False)
        if wanted and not error
    ]


class MatchList:
    """An open list; title is the parameter's name, utf8 is smtputf8_enable.

    opened holds the tables, so that they are shared and watched for changes.
    Patterns and tables have their place in the list and whether they are without "!".
    """

    def __init__(
        self, title: str, value: str, *, utf8: bool, opened: OpenTables
    ) -> None:
        self.title = title
        self._utf8 = utf8
        self.longest = 0  # pattern
        self._patterns: dict[bytes, tuple[int, bool]] = {}
        self._tables: list[tuple[int, bool, Table]] = []
        if is_plain(value):
            self._read(value, opened)
        else:
            opened.when_open(lambda: self._read(value, opened))

    def _read(self, value: str, opened: OpenTables) -> None:
        options = TableOptions(utf8=self._utf8)
        items = _items(self.title, value, warn=True)
        for place, (wanted, item, error) in enumerate(items):
            if error:
                why = f"open file {item}: {error.strerror}"
                complaint = Complaint(Kind.UNUSABLE, why, "error", file=item)
                table = opened.unavailable("non-existent", item, complaint)
                self._tables.append((place, wanted, table))
            elif _is_table(item):
                self._tables.append((place, wanted, opened.open(item, options)))
            else:
                pattern = fold(wire(item), utf8=self._utf8)
                self._patterns.setdefault(pattern, (place, wanted))
                self.longest = max(self.longest, len(pattern))

    def contains(self, subject: bytes) -> bool:
        """Whether the subject is in the list, as a whole."""
        return self.decide(subject, _only, _is_in)

    def decide(
        self,
        subject: bytes,
        matching: Callable[[bytes], Iterable[bytes]],
        is_in: Callable[[bytes, Table], bool],
    ) -> bool:
        """Whether the first item that matches is one without "!".

        matching    the patterns that would match a subject
        is_in       whether a table contains it
        """
        subject = fold(subject, utf8=self._utf8)
        known = self._patterns
        found = [known[one] for one in matching(subject) if one in known]
        first, answer = min(found, default=(None, False))
        for place, wanted, table in self._tables:
            if first is not None and place > first:
                break
            try:
                if is_in(subject, table):
                    return wanted
            except TableError:
                log.warning(f"{self.title}: {table.title}: table lookup problem")
                raise
        return answer


def _only(subject: bytes) -> Iterable[bytes]:
    return (subject,)


def _is_in(subject: bytes, table: Table) -> bool:
    return table.lookup(subject) is not None


class DomainList:
    """fast_flush_domains: a domain matches itself and its subdomains.

    parent_domain_matches_subdomains lists the parameters in which "example.com" also
    matches its subdomains; in the others, ".example.com" does.

    Parity: src/global/domain_list.c, src/global/match_parent_style.c.
    """

    def __init__(
        self,
        title: str,
        value: str,
        *,
        parent_domain_matches_subdomains: str,
        utf8: bool,
        opened: OpenTables,
    ) -> None:
        style = MatchList(
            "parent_domain_matches_subdomains",
            parent_domain_matches_subdomains,
            utf8=utf8,
            opened=opened,
        )
        self._list = MatchList(title, value, utf8=utf8, opened=opened)
        self._title = title.encode()
        self._style = style
        self._parent_matches = False
        if is_plain(parent_domain_matches_subdomains):
            self._follow_style()
        else:
            opened.when_open(self._follow_style)

    def _follow_style(self) -> None:
        self._parent_matches = self._style.contains(self._title)

    def matches(self, domain: bytes) -> bool:
        """Whether the domain is in the list.

        Raises: TableError, with the reason in the log.
        """
        return self._list.decide(domain, self._matching, self._is_in)

    def _matching(self, domain: bytes) -> Iterator[bytes]:
        yield domain
        dot = domain.rfind(b".")
        while dot >= 0 and len(domain) - dot <= self._list.longest + 1:
            yield domain[dot + 1 if self._parent_matches else dot :]
            dot = domain.rfind(b".", 0, dot)

    def _is_in(self, domain: bytes, table: Table) -> bool:
        for key in self._parents(domain):
            if table.lookup(key) is not None:
                return True
            if not table.fixed:
                break
        return False

    def _parents(self, domain: bytes) -> Iterator[bytes]:
        """a.b.c, then b.c and c, or .b.c and .c."""
        while domain:
            yield domain
            dot = domain.find(b".", 1)
            if dot < 0:
                return
            domain = domain[dot + 1 if self._parent_matches else dot :]
