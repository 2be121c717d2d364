"""unionmap:, pipemap:, randmap:, debug:, fail: and environ:, against Postfix."""

from __future__ import annotations

import os
import random
import sys
from importlib import import_module

import pytest

from postvirt.errors import ConfigError, TableError
from postvirt.system import privileges
from postvirt.tables import table_types
from postvirt.tables.table import TableOptions
from tests.harness.child import MAIL_OWNER, in_child
from tests.harness.tables import open_table, opener

VIRTUAL = TableOptions(utf8=True, paranoid=True)
KEYS = [
    b"a",
    b"A",
    b"b",
    b"c",
    b"d",
    b"a@example.com",
    b"\xc3\x89@example.com",
    b"\xc3\xa9@example.com",
    b"\xff",
]
A = "inline:{a=b, b=c, A=d, {e=}, \xe9@example.com=f}"
RULES = "regexp:{{/^A$/i capital}, {/^a/i small}, {/c/ }}"
TABLES = [
    "unionmap:{static:x, static:y}",
    f"unionmap:{{{A}}}",
    f"unionmap:{{{A}, {RULES}}}",
    f"unionmap:{{{RULES} {A}}}",
    f"unionmap:{{proxy:{A}, proxy:unionmap:{{proxy:static:x}}}}",
    "unionmap:{inline:{{a=},{b=x}}, inline:{{a=y},{b=}}, inline:{{a=},{b=}}}",
    "unionmap:{inline:{{a=},{b=}}, inline:{{a=},{c=}}}",
    "unionmap:{static:x, fail:y}",
    "unionmap:{fail:y, static:x}",
    f"unionmap:{{{A}, tcp:localhost:1}}",
    f"unionmap:{{{A}, nosuch:x}}",
    f"unionmap:{{{A}, texthash:/does/not/exist}}",
    f"unionmap:{{cidr:{{{{192.0.2.1 x}}}}, {A}}}",
    f"pipemap:{{{A}}}",
    f"pipemap:{{{A}, {A}}}",
    f"pipemap:{{{A}, {A}, {RULES}}}",
    f"pipemap:{{{RULES}, inline:{{small=x, capital=y}}}}",
    f"pipemap:{{{A}, static:x}}",
    f"pipemap:{{inline:{{a=A}}, {A}}}",
    f"pipemap:{{{A}, fail:x}}",
    f"pipemap:{{fail:x, {A}}}",
    f"pipemap:{{{A}, texthash:/does/not/exist}}",
    f"pipemap:{{{A}, unionmap:{{static:x, pipemap:{{{A}, {A}}}}}}}",
    f"pipemap:{{inline:{{a=}}, {RULES}}}",
    "pipemap:{static:X, inline:{X=y}}",
    "unionmap:{}",
    "unionmap:{ , }",
    "unionmap:x",
    "unionmap:{static:x}y",
    "unionmap:{static}",
    "unionmap:{static:x, y}",
    "pipemap:{}",
    "pipemap:static:x",
    "pipemap:{{static:x}}",
    "randmap:{x}",
    "randmap:{{x}}",
    "randmap:{{x y}}",
    "randmap:{}",
    "randmap:{,}",
    "randmap:x",
    "fail:x",
    "environ:x",
]


def _ask(table, key):
    try:
        return table.lookup(key)
    except TableError:
        return "error"


@pytest.mark.postfix
@pytest.mark.parametrize("utf8", ["yes", "no"])
@pytest.mark.parametrize("spec", TABLES)
def test_tables_answer_as_virtual_does(postfix, logged, spec, utf8):
    postfix.configure(smtputf8_enable=utf8)
    expected, lines = postfix.ask("key", KEYS, maps=spec)
    table = open_table(spec, TableOptions(utf8=utf8 == "yes", paranoid=True))
    answers = [_ask(table, key) for key in KEYS]
    for value, answer in zip(expected, answers, strict=True):
        # An error, and what the list of tables makes of an empty result.
        if isinstance(value, int):
            assert answer in ("error", b"")
        else:
            assert answer == value
    # Two members of the same name are one table for Postfix, and complain once.
    assert set(logged.take()) == {
        line
        for line in lines
        if "virtual_mailbox_maps" not in line and "lookup error" not in line
    }
    table.close()


@pytest.mark.postfix
@pytest.mark.parametrize("utf8", ["yes", "no"])
@pytest.mark.parametrize(
    "spec",
    [
        f"unionmap:{{{A}, {RULES}}}",
        f"unionmap:{{{RULES}, {A}}}",
        f"unionmap:{{static:x, {RULES}}}",
        f"pipemap:{{{A}, {RULES}}}",
        f"pipemap:{{{RULES}, inline:{{small=X, Capital=y}}}}",
        f"pipemap:{{inline:{{a=A}}, {RULES}}}",
        "pipemap:{regexp:{{/(.*)@(.*)/ $2@$1}}, pcre:{{/^(?<d>[^@]*)@(.*)/ $2-$1}}}",
    ],
)
def test_tables_fold_keys_as_postmap_does(postfix, logged, spec, utf8):
    postfix.configure(smtputf8_enable=utf8)
    expected, lines = postfix.query_with_log(spec, KEYS)
    options = TableOptions(utf8=utf8 == "yes", fold=True)
    table = open_table(spec, options)
    answers = {key: table.lookup(key) for key in KEYS}
    assert answers == {key: expected.get(key) for key in KEYS}
    assert logged.take() == lines


@pytest.mark.parametrize("type_", ["unionmap", "pipemap"])
def test_a_member_without_a_type_ends_the_process(type_):
    with pytest.raises(ConfigError, match='"type:name" form'):
        open_table(f"{type_}:{{:x}}", VIRTUAL)


def test_the_first_member_decides_whether_parts_of_addresses_are_asked(logged):
    assert open_table("unionmap:{static:x, fail:y}", VIRTUAL).fixed
    assert not open_table("unionmap:{fail:y, static:x}", VIRTUAL).fixed
    assert not open_table("pipemap:{randmap:{y}, static:x}", VIRTUAL).fixed
    assert not open_table("debug:fail:y", VIRTUAL).fixed
    assert open_table("debug:environ:y", VIRTUAL).fixed


@pytest.mark.postfix
@pytest.mark.parametrize("form", ["unionmap:{{{}}}", "pipemap:{{{}}}", "debug:{}"])
def test_a_table_has_changed_when_a_member_has(index, form):
    member = index("hash", b"a b\n")
    table = open_table(form.format(member), VIRTUAL)
    assert table.lookup(b"a") == b"b"
    assert not table.changed()
    os.utime(f"{member.partition(':')[2]}.db")
    assert table.changed()
    before = len(os.listdir("/proc/self/fd"))
    table.close()
    assert len(os.listdir("/proc/self/fd")) < before


def test_all_values_of_a_random_table_come_up():
    random.seed(1)
    table = open_table("randmap:{x, {y z}, x}", VIRTUAL)
    values = [table.lookup(b"key") for _ in range(300)]
    assert set(values) == {b"x", b"{y z}"}
    assert values.count(b"x") > values.count(b"{y z}")


def test_a_debug_table_logs_what_it_is_asked(logged):
    table = open_table("debug:inline:{a=b}", TableOptions(utf8=True, fold=True))
    assert table.lookup(b"A") == b"b"
    assert table.lookup(b"x") is None
    failing = open_table("debug:proxy:fail:x", VIRTUAL)
    with pytest.raises(TableError):
        failing.lookup(b"x")
    assert logged.take() == [
        'inline:{a=b} lookup: "A" = "b"',
        'inline:{a=b} lookup: "x" = "not_found"',
        'proxy:fail:x lookup: "x" = "error"',
    ]


def test_a_debug_table_needs_a_table(logged):
    with pytest.raises(TableError, match='need "debug:type:name"'):
        open_table("debug:x", VIRTUAL).lookup(b"x")


def test_the_environment_is_looked_up(monkeypatch):
    monkeypatch.setenv("postvirt_test", "\udcffx")
    monkeypatch.setenv("POSTVIRT_TEST", "capital")
    table = open_table("environ:x", TableOptions(fold=True))
    assert table.lookup(b"POSTVIRT_test") == b"\xffx"
    assert (
        open_table("environ:x", TableOptions()).lookup(b"POSTVIRT_TEST") == b"capital"
    )
    assert table.lookup(b"postvirt_none") is None


@pytest.mark.root
def test_a_program_with_traded_rights_does_not_trust_its_environment(monkeypatch):
    monkeypatch.setenv("postvirt_test", "x")
    table = open_table("environ:x", TableOptions())
    os.seteuid(65534)
    try:
        assert table.lookup(b"postvirt_test") is None
    finally:
        os.seteuid(0)
    assert table.lookup(b"postvirt_test") == b"x"


@pytest.mark.root
def test_neither_does_a_worker(monkeypatch):
    monkeypatch.setenv("postvirt_test", "x")
    table = open_table("environ:x", TableOptions())

    def work() -> bytes | None:
        privileges.confine(MAIL_OWNER, for_good=True, may_change=True)
        return table.lookup(b"postvirt_test")

    assert in_child(work) is None


def test_modules_of_members_are_prepared(monkeypatch):
    imported = []
    monkeypatch.setattr(
        table_types,
        "import_module",
        lambda name, real=import_module: imported.append(name) or real(name),
    )
    types = ("unionmap", "debug", "cidr", "pipemap", "pcre")
    modules = {f"postvirt.tables.{table_types.TYPES[one].name}" for one in types}
    for module in modules:
        monkeypatch.delitem(sys.modules, module, raising=False)
    opener().prepare(["unionmap:{debug:cidr:{}, pipemap:{pcre:{}}}", "unionmap:{", "x"])
    assert set(imported) == modules
