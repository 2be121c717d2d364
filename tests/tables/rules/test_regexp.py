"""regexp: and pcre: tables, against the genuine program."""

from __future__ import annotations

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

QUERY = TableOptions(utf8=True, fold=True, warn_duplicates=True)
VIRTUAL = TableOptions(utf8=True, paranoid=True)

RULES = {
    "first match wins": b"/^a/ one\n/^ab/ two\n/b/ three\n",
    "no result": b"/a/\n/b/ \n",
    "flags": b"/^AB/i one\n/^ab/ii two\n/^b$/m three\n/^AB/im four\n/b.c/ five\n",
    "flags of pcre": (
        b"/ b # comment\n/x one\n/b c/x two\n/b/A three\n/c$/E four\n"
        b"/(a+)(.*)/U <$1><$2>\n/a.c/s five\n/b/X six\n"
    ),
    "bad flags": b"/a/q one\n/b/i1 two\n/c/\xc3\xa9 three\n/a/imx four\n",
    "flags then blank": b"/a/i\n/b/ i two\n/c/!\n",
    "other delimiters": (
        b"!a! one\n!!b!! two\n|b| three\n#c# four\n%d% five\n\xc3d\xc3 e\n"
    ),
    "delimiter in the pattern": b"/a\\/b/ one\n|a/b| two\n/a[/]b/ three\n",
    "no end": b"/a one\n/b\\\n/c\\/ two\n/\n!\n! !\n\\a\\ x\n/abc\\\n",
    "negation": b"!/a/ one\n! ! /b/ two\n!!!/c/ three\n/d/ four\n",
    "two patterns": (
        b"/a/!/b/ one\n/c/ ! /b/ two\n/b/i!/c/i three\n/b/!!/b/ four\n!/a/!/b/ x\n"
    ),
    "bad second pattern": b"/a/!/(/ one\n/b/!/ two\n/c/! three\n/b/!/x/q four\n",
    "groups": (
        b"/^(a)(b)?(.*)$/ <$1|$2|${3}|$(1)|$$|$$1>\n/(b)(c)/ ${2}${1}\n/(c)/ ${01}\n"
        b"/c/ $1\n"
    ),
    "bad groups": (
        b"/(a)/ $0\n/(a)/ $x\n/(a)/ ${1\n/(a)/ $\n/(a)/ $1b\n/(a)/ ${}\n/(a)/ $2\n"
        b"/(a)/ ${1x}\n/(a)/ $x $0 $(\n!/(a)/ $1\n/(b)/ $(1) ${1} $1.\n/(c)/ $-1\n"
        b"/(d)/ a$\n"
    ),
    "dollars": b"/a/ $$\n/b/ $$$$x\n/c/ x$$1\n/d/ $$$$$\n",
    "nested groups in braces": b"/(a)/ ${{1}}\n/(b)/ $({1})\n/(c)/ ${(1)}\n",
    "bad pattern": b"/(/ one\n/a{2,1}/ two\n/[/ three\n/*/ four\n/b/ five\n/a**/ six\n",
    "blocks": (
        b"if /a/\n/b/ one\nif !/c/\n/d/ two\nendif\n/c/ three\nendif\n/d/ four\n"
        b"IF/b/\n/b/ five\nEndif\nif ! ! /c/\n/c/ six\nENDIF more\n/./ rest\n"
    ),
    "blocks that do not fit": (
        b"endif\n/a/ one\nif /b/ /bc/ text\n/c/ two\nif /(/\n/d/ three\nendif\n"
        b"if /x\nif\nifx /a/\nendifx\nelse\nif /d/\n/a/ four\nif /e/\n"
    ),
    "indented rules": b"if /a/\n  /b/ one\n  /c/ two\nendif\n/a/ three\n",
    "if with two patterns": b"if /a/!/b/\n/./ one\nendif\n/./ two\n",
    "logical lines": b"# comment\n/a/ one\n  two\n# between\n\n three\n/b/\n x\n",
    "begins with a blank": b" /a/ one\n/b/ two\n",
    "crlf": b"/^a/ one\r\nif /b/\r\n/b/ two\r\nendif\r\n\r\n/c/\r\n x\r\n",
    "nul": b"/a/ one\0more\n/b\0/ two\n\0/c/ three\n/d/ four\n",
    "utf-8": (
        b"/\xc3\xa9/ one\n/^.$/ two\n/^..$/ three\n/\xc3\x89/ four\n/[\xc3]/ five\n"
    ),
    "result is not utf-8": b"/a/ \xff\n/b/ two\n",
    "bom": b"\xef\xbb\xbf/a/ one\n/b/ two\n",
    "no newline at the end": b"/a/ one\n/b/ two",
    "empty": b"",
    "not a rule": b"abc\nuser@example.com x\n1\n/a/ one\n",
    "posix classes": (
        b"/^[[:alpha:]]+$/ alpha\n/^[[:digit:]]+$/ digits\n/\\<b\\>/ word\n"
    ),
    "longest match": b"/(a|ab)(c|bcd)(d*)/ <$1><$2><$3>\n/(b*)(b)/ <$1><$2>\n",
    "intervals": (
        b"/^a{2}$/ two\n/^(ab){1,}$/ more\n/^a\\{1\\}$/x basic\n/^\\(b\\)$/x $1\n"
    ),
    "perl": (
        b"/^(?=a)\\w+$/ look\n/(?<n>b)/ named $1\n/(?i)C/i three\n/\\d+$/ four\n"
        b"/(?x) c /i x\n"
    ),
    "unicode": b"/(*UTF)^.$/ one\n/(*UCP)\\w/ two\n/\\x{e9}/ three\n",
    "empty pattern": b"// all\n",
    "back reference": b"/(.)\\1/ twice $1\n/^(.*)@(.*)$/ $2!$1\n",
}
KEYS = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"ab",
    b"AB",
    b"abc",
    b"abcd",
    b"bc",
    b"bd",
    b"cd",
    b"ad",
    b"aa",
    b"b c",
    b"a/b",
    b"ababab",
    b"123",
    b"x1",
    b"user@example.com",
    b"User+Ext@EXAMPLE.com",
    b"\xc3\xa9",
    b"\xc3\x89",
    b"caf\xc3\xa9@example.com",
    b"\xff",
    b"k" * 3000,
    b"z",
]


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["regexp", "pcre"])
@pytest.mark.parametrize("rules", RULES)
def test_rules_answer_and_warn_as_postmap_does(
    postfix, logged, text_table, rules, type_
):
    spec = f"{type_}:{text_table(RULES[rules])}"
    expected, lines = postfix.query_with_log(spec, KEYS)
    table = open_table(spec, QUERY)
    answers = {}
    for key in KEYS:
        try:
            answers[key] = table.lookup(key)
        except TableError:
            # Here postmap stops.
            assert lines.pop().startswith("fatal: table ")
            break
    assert answers == {key: expected.get(key) for key in answers}
    assert logged.take() == lines


@pytest.mark.postfix
@pytest.mark.parametrize("type_", ["regexp", "pcre"])
@pytest.mark.parametrize("rules", RULES)
def test_rules_answer_and_warn_as_virtual_does(
    postfix, logged, text_table, rules, type_
):
    spec = f"{type_}:{text_table(RULES[rules])}"
    expected, lines = postfix.ask("key", KEYS, maps=spec)
    table = open_table(spec, VIRTUAL)
    answers = []
    for key in KEYS:
        try:
            answers.append(table.lookup(key))
        except TableError:
            answers.append(None)
    for value, answer in zip(expected, answers, strict=True):
        # An error, and what the list of tables makes of an empty result.
        assert answer in (None, b"") if isinstance(value, int) else answer == value
    own = [line for line in lines if "virtual_mailbox_maps" not in line]
    assert logged.take() == [line for line in own if "lookup error" not in line]


@pytest.mark.parametrize("type_", ["regexp", "pcre"])
def test_parentheses_that_overflow_the_stack_of_the_library_are_refused(
    logged, text_table, type_
):
    depth = 20_000
    rules = b"/%sa%s/ nested\n/b/ next\n" % (b"(" * depth, b")" * depth)
    table = open_table(f"{type_}:{text_table(rules)}", QUERY)
    assert table.lookup(b"b") == b"next"
    assert table.lookup(b"a") is None
    [line] = logged.take()
    assert "parentheses" in line
