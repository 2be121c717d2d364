"""The rules of CONTRIBUTING that can be read off the source hold for all of it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median

from tests.harness.written_rules import late_imports, yields_inside_acting_as

_PACKAGE = Path(__file__).parent.parent / "postvirt"
_MODULES = sorted(_PACKAGE.rglob("*.py"))

_MOST_LINES = 400
_MOST_LINES_OF_MOST = 120

# Packages whose code a worker runs, when it can no longer read the installation.
_RUN_BY_WORKERS = (
    "codec",
    "config",
    "delivery",
    "engine",
    "mailbox",
    "model",
    "queuefile",
    "report",
    "server",
    "system",
    "tables",
)

# Functions that import nevertheless, and why that is no late import of a worker.
_IMPORTING = {
    "config.domain_names._idna": "optional; without it the value is an error",
    "config.grammar.grammar_text": "only config.grammar.parser calls it",
    "config.grammar.parser": "Texts.prepare builds the parser that a worker may need",
    "config.metrics_address.metrics_address": "asked when settings are checked",
    "config.reference._broken": "lark is there: it has refused something",
    "config.reference.reference": "lark is there: it has built the parser",
    "config.rules.check_create_folders": "asked when settings are checked",
    "delivery.recipient.Postman.refused": "table_setup.prepare imports it",
    "delivery.table_setup._folder_rules": "prepare has imported it",
    "delivery.table_setup._open_limits": "prepare has imported it",
    "delivery.table_setup.prepare": "start-up",
    "mailbox.maildir._room_for": "table_setup.prepare imports it",
    "mailbox.maildir._rooted": "table_setup.prepare imports it",
    "mailbox.maildir._sizes_of": "table_setup.prepare imports it",
    "mailbox.maildir_file.MaildirFile._create_in": "table_setup.prepare imports it",
    "mailbox.maildir_file.MaildirFile.create_folder": "table_setup.prepare imports it",
    "mailbox.quota.roots.counts": "table_setup.prepare imports it",
    "server.assembly._warnings": "start-up, or the watchdog process",
    "server.json_log.JsonLog.open": "start-up, or the watchdog process",
    "server.json_log.JsonLog.reported": "open has imported it",
    "server.json_log.JsonLog.take": "open has imported it",
    "server.service.daemonise._be_daemon": "start-up",
    "tables.table_types.load_type": "tables are opened at start-up",
}

# Modules of one name in several packages: the same role there.
_SAME_ROLE = {
    "show": "what was found, as lines for a terminal and as JSON",
}


def _name(module: Path) -> str:
    return ".".join(module.relative_to(_PACKAGE).with_suffix("").parts)


def _lines(module: Path) -> int:
    return len(module.read_text().splitlines())


def test_nothing_is_yielded_inside_acting_as() -> None:
    found = {
        f"{_name(module)}:{line}"
        for module in _MODULES
        for line in yields_inside_acting_as(module.read_text())
    }
    assert found == set()


def test_a_worker_imports_nothing_after_start_up() -> None:
    found = {
        f"{_name(module)}.{function}"
        for package in _RUN_BY_WORKERS
        for module in (_PACKAGE / package).rglob("*.py")
        for function in late_imports(module.read_text())
    }
    assert found == _IMPORTING.keys()


def test_a_module_can_be_read_in_one_sitting() -> None:
    long = {_name(module): _lines(module) for module in _MODULES}
    assert {name for name, n in long.items() if n > _MOST_LINES} == set()
    assert median(long.values()) <= _MOST_LINES_OF_MOST


def test_modules_of_one_name_mean_the_same() -> None:
    places = defaultdict(list)
    for module in _MODULES:
        places[module.stem].append(_name(module))
    places.pop("__init__")
    assert {name for name, found in places.items() if len(found) > 1} == (
        _SAME_ROLE.keys()
    ), places


BAD_YIELDS = """
def branch(owner):
    with step(PLACE), privileges.acting_as(owner):
        if found:
            yield Written(fd)
        received = yield from content()
    with inside(mailbox):
        yield Pause(1)
    yield Pause(1)
"""

GOOD_YIELDS = """
def branch(owner):
    with acting_as(owner):
        later = lambda: (yield)
        def inner():
            yield 1
    yield Pause(1)
    with somebody(owner):
        yield Pause(1)
"""


def test_a_yield_inside_acting_as_is_found() -> None:
    assert yields_inside_acting_as(BAD_YIELDS) == [5, 6, 8]


def test_a_yield_outside_or_in_a_function_of_its_own_is_not() -> None:
    assert yields_inside_acting_as(GOOD_YIELDS) == []


LATE_IMPORTS = """
import os
if os.name == "posix":
    import fcntl

class Table:
    import stat

    def ask(self):
        if self.is_open:
            from lark import Lark

def open_table():
    return importlib.import_module("lmdb")

def outer():
    def inner():
        return __import__("lmdb")

def clean():
    return os.name
"""


def test_an_import_inside_a_function_is_found() -> None:
    assert late_imports(LATE_IMPORTS) == {
        "Table.ask",
        "open_table",
        "outer.inner",
    }
