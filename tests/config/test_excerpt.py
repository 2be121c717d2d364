"""A configuration error shows where it is and what to do."""

from postvirt.config.excerpt import render
from postvirt.errors import ConfigError, Mistake
from postvirt.model.origin import Origin


def test_place_line_caret_and_remedy_are_shown():
    error = ConfigError(
        "bad boolean configuration: soft_bounce = maybe",
        origin=Origin("/etc/postfix/main.cf", 12, "soft_bounce =\tmaybe", 14),
        remedy="write yes or no",
    )
    assert render(error).split("\n") == [
        "/etc/postfix/main.cf:12: bad boolean configuration: soft_bounce = maybe",
        "    soft_bounce =\tmaybe",
        "                 \t^",
        "    fix: write yes or no",
    ]


def test_the_warning_is_shown_when_it_says_more_than_the_error():
    error = ConfigError(
        "macro processing error", mistakes=(Mistake('empty macro name: "$"'),)
    )
    assert render(error) == 'empty macro name: "$"'


def test_a_warning_says_so():
    assert render(ConfigError("odd", severity="warning")) == "warning: odd"


def test_a_long_line_is_cut_around_the_mistake():
    source = "x = " + "a" * 500 + "!" + "b" * 500
    error = ConfigError("bad", origin=Origin("main.cf", 0, source, 504))
    _, line, caret = render(error).split("\n")
    assert line[caret.index("^")] == "!"
    assert len(line) < 120
