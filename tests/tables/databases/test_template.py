"""Templates, and the keys and values that do not fit them."""

from __future__ import annotations

import pytest

from postvirt.tables.databases.template import Template, Templates

KEY = b"user+x@mail.example.com"


def filled(query: str, key: bytes, result: str = "%s") -> bytes | None:
    template = Template(query)
    fields = Templates([template], Template(result)).of_key(key)
    return None if fields is None else template.fill(fields)


def shown(result: str, key: bytes, value: bytes) -> bytes | None:
    templates = Templates([Template("%s")], Template(result))
    fields = templates.of_key(key)
    return None if fields is None else templates.of_value(value, fields)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("100%%", b"100%"),
        ("%s|%S", KEY + b"|" + KEY),
        ("%u|%U", b"user+x|user+x"),
        ("%d|%D", b"mail.example.com|mail.example.com"),
        ("%1 %2 %3", b"com example mail"),
        ("", b""),
    ],
)
def test_letters_stand_for_parts_of_the_key(query, text):
    assert filled(query, KEY) == text


@pytest.mark.parametrize(
    ("query", "key", "text"),
    [
        ("%s", b"user", b"user"),
        ("%u", b"user", b"user"),
        ("%u", b"@b", None),
        ("%s", b"@b", b"@b"),
        ("%d", b"@b", b"b"),
        ("%d", b"user", None),
        ("%d", b"user@", None),
        ("%D", b"user", None),
        ("%u", b"user@", b"user"),
        ("%u %d", b"a@b@c", b"a@b c"),
        ("%3", b"a@b.c", None),
        ("%2", b"a@b..c.", b"b"),
        ("%1", b"a@.", None),
        ("%1", b"com", None),
    ],
)
def test_a_key_that_lacks_a_part_is_not_looked_up(query, key, text):
    assert filled(query, key) == text


@pytest.mark.parametrize(
    ("result", "value", "text"),
    [
        ("<%s>", b"v@w", b"<v@w>"),
        ("%u %d", b"v@w", b"v w"),
        ("%u", b"v", b"v"),
        ("%u", b"@w", None),
        ("%d", b"v", None),
        ("%d", b"v@", None),
        ("%S %U %D %1", b"v", b"k@x.org k x.org org"),
    ],
)
def test_a_result_shows_parts_of_value_and_key(result, value, text):
    assert shown(result, b"k@x.org", value) == text


@pytest.mark.parametrize("result", ["%D", "%1", "%4"])
def test_a_key_must_have_what_the_result_needs(result):
    assert filled("%s", b"user", result) is None


@pytest.mark.parametrize("text", ["%", "a%", "%x", "%0", "% s"])
def test_an_unknown_letter_is_refused(text):
    with pytest.raises(ValueError, match=text):
        Template(text)


@pytest.mark.parametrize(
    ("query", "quotes"),
    [
        ("a = '%s' AND b = \"%s\" AND c = %s", ["'", '"', ""]),
        ("'it''s %s' %s", ["'", ""]),
        ("'\"%s' %s", ["'", ""]),
        ('"\'%s" %s', ['"', ""]),
        ("E'%s' e'%u' LIKE'%s' %d'%s'", ["E'", "E'", "'", "", "'"]),
        ("'%%%s%%'", ["'"]),
        ("%s'%s", ["", "'"]),
    ],
)
def test_the_quotes_around_a_part_are_known(query, quotes):
    template = Template(query)
    assert [one.around for one in template.expansions] == quotes
    seen = []
    fields = dict.fromkeys("sud", b"x")
    template.fill(fields, lambda value, around: seen.append(around) or value)
    assert seen == quotes
