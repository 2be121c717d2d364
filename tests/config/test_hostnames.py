"""Host names are good or bad as Postfix has it; test_rules asks Postfix itself."""

import pytest

from postvirt.config.hostnames import hostname_problem


@pytest.mark.parametrize("name", ["a", "a.b", "A-1.b_c", "1a", "x" * 63])
def test_a_good_host_name_has_no_problem(name):
    assert hostname_problem(name) == ""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty hostname"),
        ("a b", "invalid character 32(decimal): a b"),
        ("a..b", "misplaced delimiter: a..b"),
        ("a.-b", "misplaced hyphen: a.-b"),
        ("1.2", "numeric hostname: 1.2"),
        ("x" * 64, "hostname label too long: " + "x" * 64),
    ],
)
def test_a_bad_host_name_has_postfix_s_words(name, problem):
    assert hostname_problem(name) == f"valid_hostname: {problem}"
