"""Texts become typed values, or are refused with Postfix's words."""

import pytest

from postvirt.config.parameters import PARAMETERS
from postvirt.config.types import convert, default_unit

GOOD = [
    ("max_use", "7", 7),
    ("max_use", "+007", 7),
    ("max_use", " \t7", 7),
    ("max_use", "2147483647", 2147483647),
    ("berkeley_db_read_buffer_size", "1", 1),
    ("delay_logging_resolution_limit", "-3", -3),
    ("message_size_limit", "-1", -1),
    ("message_size_limit", "9223372036854775807", 9223372036854775807),
    ("message_size_limit", "0" * 5000 + "1", 1),
    ("soft_bounce", "YES", True),
    ("soft_bounce", "no", False),
    ("mail_name", "\u00e4", "\u00e4"),
    ("default_verp_delimiters", "-+", "-+"),
    ("max_idle", "7", 7),
    ("max_idle", "7s", 7),
    ("max_idle", "2m", 120),
    ("max_idle", "2h", 7200),
    ("max_idle", "2d", 172800),
    ("max_idle", "2w", 1209600),
    ("max_idle", "5sx", 5),
    ("max_idle", "1d2h", 86400),
    ("max_idle", "2147483647s", 2147483647),
    ("in_flow_delay", "s", 0),
    ("in_flow_delay", "10", 10),
]

BAD = [
    ("max_use", "abc", "bad numerical configuration: max_use = abc"),
    ("max_use", "", "bad numerical configuration: max_use = "),
    ("max_use", "7x", "bad numerical configuration: max_use = 7x"),
    ("max_use", "+", "bad numerical configuration: max_use = +"),
    ("max_use", "\u0664", "bad numerical configuration: max_use = \u0664"),
    ("max_use", "2147483648", "bad numerical configuration: max_use = 2147483648"),
    ("max_use", "0", "invalid max_use parameter value 0 < 1"),
    (
        "delay_logging_resolution_limit",
        "7",
        "invalid delay_logging_resolution_limit parameter value 7 > 6",
    ),
    (
        "message_size_limit",
        "9223372036854775808",
        "bad numerical configuration: message_size_limit = 9223372036854775808",
    ),
    ("soft_bounce", "true", "bad boolean configuration: soft_bounce = true"),
    ("soft_bounce", "", "bad boolean configuration: soft_bounce = "),
    ("mail_name", "", "bad string length 0 < 1: mail_name = "),
    (
        "default_verp_delimiters",
        "+\u00e4",
        "bad string length 3 > 2: default_verp_delimiters = +\u00e4",
    ),
    ("max_idle", "", "parameter max_idle: bad time value or unit: "),
    ("max_idle", "5 s", "parameter max_idle: bad time value or unit: 5 s"),
    ("max_idle", "5x", "parameter max_idle: bad time value or unit: 5x"),
    ("max_idle", "-5", "parameter max_idle: bad time value or unit: -5"),
    ("max_idle", "x", "parameter max_idle: bad time value or unit: x"),
    ("max_idle", "3550w", None),
    ("max_idle", "2147483648", None),
    ("max_idle", "9" * 5000, None),
    ("max_idle", "0", "invalid max_idle: 0 (min 1)"),
    ("in_flow_delay", "11", "invalid in_flow_delay: 11 (max 10)"),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_a_good_text_has_a_value(name, value, expected):
    converted = convert(PARAMETERS[name], value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_a_bad_text_is_refused(name, value, message):
    with pytest.raises(ValueError, match=r"\w") as caught:
        convert(PARAMETERS[name], value)
    assert message is None or str(caught.value) == message


def test_a_time_without_a_unit_takes_the_unit_of_the_default():
    assert convert(PARAMETERS["max_idle"], "3", default_unit("5d")) == 3 * 86400
    assert convert(PARAMETERS["max_idle"], "3", default_unit("100s")) == 3


@pytest.mark.postfix
def test_postfix_agrees_on_good_and_bad(main_cf, complaints, our_complaints):
    cases = [case[:2] for case in GOOD + BAD]
    directories = [main_cf(f"empty =\n{n} = ${{empty}}{v}\n") for n, v in cases]
    for case, directory, theirs in zip(
        cases, directories, complaints(directories), strict=True
    ):
        assert (case, our_complaints(directory)) == (case, theirs)
