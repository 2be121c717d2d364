"""Tables: damaged index files, files and names with rules, and what tables answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from postvirt.config import load
from postvirt.config.load import Texts
from postvirt.delivery.resolve import Resolver
from postvirt.errors import ConfigError, TableError
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Dsn
from postvirt.model.text import text
from postvirt.report.status_filter import filtered
from postvirt.tables import match_list
from postvirt.tables.complaint import ignore_complaint
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.template import Template, Templates
from postvirt.tables.maps import Maps
from postvirt.tables.opener import TableOpener
from postvirt.tables.search import Extensions
from postvirt.tables.table import ListedTable, Table, TableOptions
from postvirt.tables.table_types import load_type
from tests.fuzz.indexes import INDEXES
from tests.fuzz.target import Contained, Run, Target, directory, outcome, split, write

# Here, so that what they execute is seen.
for _type in (*INDEXES, "cidr", "inline", "pcre", "pipemap", "regexp", "texthash"):
    load_type(_type)

_DIRECTORY = directory()
(_DIRECTORY / "main.cf").touch()
_OPENER = TableOpener(Texts({}), tell=ignore_complaint)
_OPTIONS = (
    TableOptions(utf8=True, paranoid=True),
    TableOptions(fold=True, warn_duplicates=True),
    TableOptions(lock=False, file_values=True),
)
_LOADED = load.check(
    str(_DIRECTORY),
    [("virtual_mailbox_base", "/base")],
    process_name="virtual",
    service_name="virtual",
)
assert _LOADED.settings is not None
_SETTINGS = _LOADED.settings
_KEYS = (
    b"bob@example.com",
    b"192.0.2.1",
    b"2001:db8::1",
    b"a",
    b"",
    b"\xff\0",
    b"x" * 500,
)
_MOST_ENTRIES = 50
_MANY_TIMES = re.compile(rb"\{[^}]*\d\d")


def _use(table: Table) -> None:
    """Everything that delivery and check-config do with a table."""
    try:
        for key in _KEYS:
            outcome(lambda key=key: table.lookup(key), TableError)  # type: ignore[misc]
        if isinstance(table, ListedTable):
            outcome(lambda: list(islice(table.entries(), _MOST_ENTRIES)), TableError)
            outcome(table.count, TableError)
        table.changed()
    finally:
        table.close()


def _of_file(type_: str, suffix: str = "") -> Run:
    """A table whose file has this content."""
    path = _DIRECTORY / type_

    def run(data: bytes) -> None:
        choice, content = split(data)
        write(Path(f"{path}{suffix}"), content)
        _use(_OPENER.open(f"{type_}:{path}", _OPTIONS[choice % len(_OPTIONS)]))

    run.__name__ = f"fuzz_{type_}"
    return run


def _repeats_little(run: Run) -> Run:
    """Without what takes more memory than there is, with virtual(8), too.

    For each + and {} the C library copies what is repeated: nested ones multiply.
    """

    def run_if(data: bytes) -> None:
        if data.count(b"+") + data.count(b"{") <= 10 and not _MANY_TIMES.search(data):
            run(data)

    run_if.__name__ = run.__name__
    return run_if


def _damaged(type_: str, suffix: str) -> Run:
    """A table whose file was sound; an input says which bytes have changed.

    What the library executes is not seen, so files would not be chosen well.
    """
    (sound,) = INDEXES[type_]()
    use = _of_file(type_, suffix)

    def run(data: bytes) -> None:
        choice, changes = split(data)
        content = bytearray(sound)
        for at in range(0, len(changes) - 2, 3):
            place = int.from_bytes(changes[at : at + 2], "big") % len(content)
            content[place] = changes[at + 2]
        use(bytes((choice,)) + content)

    run.__name__ = use.__name__
    return Contained(run)


def _of_name(*types: str) -> Run:
    """A table that is written into main.cf."""

    def run(data: bytes) -> None:
        choice, content = split(data.replace(b"\0", b" "))
        if b"/dev" in content or b"/proc" in content:
            return  # names of files that have no end
        type_ = types[choice % len(types)]
        name = f"{type_}:{{{text(content)}}}"
        options = _OPTIONS[choice // 16 % len(_OPTIONS)]
        _OPENER.prepare([name])
        _OPENER.are_slow([name])
        table = outcome(lambda: _OPENER.open(name, options), ConfigError)
        if isinstance(table, Table):
            _use(table)

    run.__name__ = f"fuzz_{types[0]}"
    return run


class _Answer(Table):
    def __init__(self, value: bytes) -> None:
        super().__init__("fuzz", "table", TableOptions())
        self._value = value

    def find(self, key: bytes) -> bytes | None:
        return self._value


def fuzz_status_filter(data: bytes) -> None:
    """What a filter answers: a status of the same kind, or the old one."""
    for status in ("2.0.0", "4.2.2", "5.1.1"):
        dsn = filtered(Maps("filter", [_Answer(data)]), Dsn(status, "text", "relayed"))
        assert (dsn.status[0] == "2") == (status[0] == "2")


def fuzz_mailbox(data: bytes) -> None:
    """What the maps of mailboxes and owners answer, for a recipient of a sender's."""
    recipient, *answers = data.split(b"\0", 3)
    mailboxes, uids, gids = [
        Maps("maps", [_Answer(value)]) for value in (answers + [b"5000"] * 3)[:3]
    ]
    resolver = Resolver(
        _SETTINGS,
        mailboxes,
        uids,
        gids,
        Extensions(b"+-", owner_request_special=True),
        lambda domain: domain == b"local",
    )
    found = resolver.resolve(recipient)
    if isinstance(found, Mailbox):
        assert found.path.startswith(b"/base/")
        assert b"/../" not in found.path
        assert found.owner.uid >= _SETTINGS.virtual_minimum_uid
        assert found.owner.gid > 0


def fuzz_domain_list(data: bytes) -> None:
    """A list of domains in main.cf, without tables."""
    value = text(data.replace(b"\0", b" ").replace(b"/", b"").replace(b":", b""))
    outcome(lambda: match_list.patterns("list", value), ConfigError)
    outcome(lambda: match_list.table_names("list", value), ConfigError)


def fuzz_cf_file(data: bytes) -> None:
    """The file of a database table."""
    path = _DIRECTORY / "database.cf"
    write(path, data)
    parameters = outcome(lambda: CfParameters(str(path), lambda _: None), TableError)
    if isinstance(parameters, str):
        return
    reads: tuple[Callable[[], object], ...] = (
        lambda: parameters.text("a", minimum=1),
        lambda: parameters.integer("b", 1, minimum=0, maximum=9),
        lambda: parameters.boolean("c", default=True),
    )
    for read in reads:
        outcome(read, TableError)
    parameters.close()


def fuzz_template(data: bytes) -> None:
    """A query, with an address that a sender has chosen."""
    query, _, key = data.partition(b"\0")
    template = outcome(lambda: Template(text(query)), ValueError)
    if isinstance(template, str) or not key:
        return
    templates = Templates([template], template)
    fields = templates.of_key(key)
    if fields is not None:
        template.fill(fields, lambda value, _: value)
        templates.of_value(key, fields)


_RULES = b"""\x00\
/^(.*)@(.)/ $1/${2}x
if /a/
!/b/i $(1)
endif
/c/m

# d
  e
if !/f/
/g/ h
"""
_NAMES = [b"\x00a=b, {c = d e}", b"\x01static:x, regexp:{{/a/ b}}", b"\x12cidr:{1 2}"]


TARGETS = (
    Target(_of_file("hash", ".db"), [b"\x00" + INDEXES["hash"]()[0]]),
    Target(_of_file("btree", ".db"), [b"\x00" + INDEXES["btree"]()[0]]),
    Target(_of_file("cdb", ".cdb"), [b"\x00" + INDEXES["cdb"]()[0]]),
    Target(_damaged("lmdb", ".lmdb"), longest=40),
    Target(
        _of_file("texthash"),
        [b'\x00a@b c\n# d\n  e\n"x y" z\na:\nk\xff\tv\\'],
        longest=500,
    ),
    Target(
        _of_file("cidr"),
        [b"\x00192.0.2.0/24 a\n!2001:db8::/32 b\nif 192.0.2.1\n[::1] c\nendif\n!0/0 d"],
        longest=500,
    ),
    Target(_repeats_little(_of_file("regexp")), [_RULES], longest=500),
    Target(_of_file("pcre"), [_RULES], longest=500),
    Target(
        _of_name("inline", "unionmap", "pipemap", "randmap", "cidr"),
        _NAMES,
        longest=500,
    ),
    Target(fuzz_status_filter, [b"5.7.1 no", b"4.2.2", b"2.0.0 \t a"], longest=200),
    Target(
        fuzz_mailbox,
        [b"owner-a+b@example.com\0example.com/a/\x005000\0 +01", b"a@local\0/../b"],
        longest=200,
    ),
    Target(fuzz_domain_list, [b"a, !b {c d} # e", b"[1.2.3.4], .f"], longest=500),
    Target(fuzz_cf_file, [b"a = b\n c\nb = 0x7\nc = yes\nhosts = x\n"], longest=500),
    Target(
        fuzz_template,
        [b"SELECT %s FROM '%u' \"%d\" %1 %% e'%S'\0bob@example.com"],
        longest=300,
    ),
)
