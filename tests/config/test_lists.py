"""Lists are split as Postfix splits them."""

import pytest

from postvirt.config.braces import braced
from postvirt.config.lists import mailbox_locks, split, words


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", ()),
        (" ,\t,\r\n", ()),
        ("a", ("a",)),
        ("a, b c,,d\te", ("a", "b", "c", "d", "e")),
        ("hash:/a b:{c d}", ("hash:/a", "b:{c d}")),
        ("x{a b}y z", ("x{a b}y", "z")),
        ("{a {b, c} d}, e", ("{a {b, c} d}", "e")),
        ("{a}{b c} d", ("{a}{b c}", "d")),
        ("a {b c", ("a", "{b c")),
        ("a{b {c d} e, f", ("a{b {c d} e, f",)),
        ("a} b", ("a}", "b")),
        ("{a}} b", ("{a}}", "b")),
        ("{", ("{",)),
        ("{ { {", ("{ { {",)),
        ("a\fb", ("a\fb",)),
        ("a\u00a0b \v", ("a\u00a0b", "\v")),
    ],
)
def test_items_are_separated_outside_braces(value, items):
    assert split(value) == items


def test_braces_mean_nothing_to_words():
    assert words("{a b}, c") == ("{a", "b}", "c")


def test_lock_methods_are_named():
    assert mailbox_locks("fcntl, dotlock") == {"fcntl", "dotlock"}
    assert mailbox_locks("flock") == {"flock"}
    assert mailbox_locks(", ") == frozenset()


def test_an_unknown_lock_method_is_refused_with_postfix_words():
    with pytest.raises(ValueError, match=r"\w") as caught:
        mailbox_locks("fcntl, Dotlock")
    assert str(caught.value) == (
        'unknown mailbox_delivery_lock value "Dotlock" in "fcntl, Dotlock"'
    )


@pytest.mark.parametrize(
    ("group", "inside", "problem"),
    [
        ("{}", "", ""),
        ("{ a {b} }", " a {b} ", ""),
        ("{a", "a", "missing '}' in \"{a\""),
        ("{a}b", "a", "syntax error after '}' in \"{a}b\""),
    ],
)
def test_braces_are_taken_off(group, inside, problem):
    assert braced(group) == (inside, problem)
