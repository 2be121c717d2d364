"""Domain names change their form as in Postfix 3.11."""

import sys

import pytest

from postvirt.config.domain_names import FUNCTIONS
from postvirt.config.expansion import expand
from postvirt.errors import ConfigError

to_ascii = FUNCTIONS["domain_to_ascii"]
to_utf8 = FUNCTIONS["domain_to_utf8"]


def test_what_has_the_form_already_stays_as_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)
    assert to_ascii("Mail.Example") == "Mail.Example"
    assert to_ascii("") == ""
    assert to_utf8("b\u00fccher.example") == "b\u00fccher.example"
    assert to_utf8("Mail.example") == "mail.example"


def test_without_the_package_the_message_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(ValueError, match="package idna is not installed"):
        to_ascii("b\u00fccher.example")


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.example", "xn--nxasmm1c.example"),
    ],
)
def test_a_name_is_converted_without_the_transition_of_2003(name, ascii_name):
    pytest.importorskip("idna")
    assert to_ascii(name) == ascii_name
    assert to_utf8(ascii_name) == name


def test_capitals_become_small():
    pytest.importorskip("idna")
    assert to_ascii("B\u00dcCHER.Example") == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "name", ["\u00e4..b", "-\u00e4", "\u00e4 b", "\udcff", "\u2260"]
)
def test_a_bad_name_is_refused(name):
    with pytest.raises(ValueError, match=r"bad domain argument in: 'domain_to_ascii\{"):
        to_ascii(name)


@pytest.mark.parametrize("name", ["xn--a", "a..b", "xn--bcher-kva.xn--"])
def test_a_bad_ascii_name_is_refused(name):
    with pytest.raises(ValueError, match=r"bad domain argument in: 'domain_to_utf8\{"):
        to_utf8(name)


def test_the_argument_is_expanded_first():
    names = {"domain": "example", "mail": "Mail.$domain"}
    assert expand("<${domain_to_ascii{$mail}}>", names.get) == "<Mail.example>"
    assert expand("$( domain_to_utf8{${x?y}A} )", names.get) == "a"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${domain_to_ascii{$}}", 'empty macro name: "$"'),
        ("${domain_to_ascii{a}b}", 'unexpected input at: "...a}>>>b"'),
        ("${domain_to_latin{a}}", "attribute name syntax error at:"),
        ("$(domain_to_ascii{a)", "unbalanced {} in attribute expression:"),
    ],
)
def test_a_bad_call_is_a_mistake(value, message):
    with pytest.raises(ConfigError) as caught:
        expand(value, lambda _: None)
    assert caught.value.mistakes[0].text.startswith(message)
