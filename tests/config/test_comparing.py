"""Texts are compared as Postfix compares them."""

import pytest

from postvirt.config.comparing import TooBigError, compare, compatibility_level

TRUE = [
    ("12", "==", "", "012"),
    ("9", "<", "", "12"),
    ("9x", ">", "", "12"),
    ("", "==", "", ""),
    ("", "<", "", "0"),
    ("9223372036854775807", ">", "", "9223372036854775806"),
    ("1", "<", "", "0" * 5000 + "2"),
    ("9" * 5000 + "x", ">", "", "1"),
    ("-1", "<", "", "0"),
    ("\u00e4", ">", "", "z"),
    ("3.10", ">", "level", "3.9"),
    ("3", "==", "level", "3.0.0"),
    ("2", "!=", "level", "3"),
    ("3.5.1", "<=", "level", "3.5.1"),
    ("3.5.1", ">=", "level", "3.5"),
]


@pytest.mark.parametrize(("left", "operator", "suffix", "right"), TRUE)
def test_a_comparison_that_holds(left, operator, suffix, right):
    assert compare(left, operator, suffix, right) is True
    opposite = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
    assert compare(left, opposite[operator], suffix, right) is False


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 5000])
def test_a_number_that_is_too_big_ends_postfix(number):
    with pytest.raises(TooBigError) as caught:
        compare("1", "<", "", number)
    assert str(caught.value) == f"mac_exp_eval: bad conversion: {number}"


def test_what_is_no_level_is_refused():
    with pytest.raises(ValueError, match=r'malformed .* syntax: "x"'):
        compare("3", "<", "level", "x")


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("0", 0),
        ("-0", 0),
        ("1", 1 << 20),
        ("3.6", (3 << 20) | (6 << 10)),
        ("3.6.1", (3 << 20) | (6 << 10) | 1),
        (" +3", 3 << 20),
        ("3. 6", (3 << 20) | (6 << 10)),
        ("0" * 5000 + "3", 3 << 20),
        ("3.1024", None),
        ("3.", None),
        ("-1", None),
        ("1.2.3.4", None),
        ("9" * 5000, None),
        ("8796093022208", None),
        ("", None),
        ("x", None),
    ],
)
def test_a_level_becomes_an_ordered_number(text, level):
    assert compatibility_level(text) == level
