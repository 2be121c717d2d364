"""Every message that a person can get, and the mistakes that lead to it.

"^" in an example marks where the caret must be; it is not in the file.
"""

import pytest

from postvirt.config.excerpt import render
from postvirt.config.load import check, load
from postvirt.config.master_cf import read_master_cf
from postvirt.errors import ConfigError

BASE = "virtual_mailbox_base = /v\n"

# Message, examples of one line, what to do.
IN_MAIN_CF = [
    ("missing '=' after attribute name", ["relayhost^", "relay ^host = x"], "name ="),
    ("missing attribute name", ["^= x"], "before the equals sign"),
    ("overriding earlier entry", ["a = 1\n^a = 2"], "keep one"),
    ("must not start with whitespace", ["^  a = b"], "remove the white space"),
]
IN_VALUES = [
    ("empty macro name", ["relayhost = a^$", "relayhost = ^$-b", "relayhost = ${^}"]),
    ("truncated macro reference", ["relayhost = ${a^", "relayhost = $(a^"]),
    ("unbalanced {}", ["relayhost = $(^{a)", "relayhost = $(a?^{b)"]),
    ("attribute name syntax error", ["relayhost = ${a^ b}", "relayhost = ${^-}"]),
    ('":" expected', ["relayhost = ${a?{b}^c}"]),
    ("unexpected input", ["relayhost = ${a?{b}:{c}^d}", "relayhost = ${a:{b}^c}"]),
    ('"?" or ":" expected', ["relayhost = ${{a} == {b} ^x}"]),
    ('"{expression}" expected', ["relayhost = ${{a} ==^ b}"]),
    ('"==" or "!=', ["relayhost = ${{a}^}", "relayhost = ${{a} ^=> {b}}"]),
    ("bad operator suffix", ["relayhost = ${{a} ==^foo {b}}"]),
    ("malformed compatibility level", ["relayhost = ${{^x} <level {3}}"]),
    ("bad conversion", ["relayhost = ${{^99999999999999999999} < {1}}"]),
    ("unreasonable macro call nesting", ["relayhost = $^relayhost"]),
    (
        "bad domain argument in: 'domain_to_ascii{\u00e4..x}'",
        ["relayhost = ${domain_to_ascii{^\u00e4..x}}"],
    ),
]
IN_TYPES = [
    (
        "bad numerical configuration",
        "write a whole number such as 100",
        ["max_use = ^many", "max_use = ^5x", "virtual_minimum_uid = ^"],
    ),
    (
        "bad boolean configuration",
        "write yes or no",
        ["soft_bounce = ^true", "soft_bounce = ^1"],
    ),
    (
        "bad time value or unit",
        "write a number and one of s, m, h, d, w",
        ["max_idle = ^5 s", "max_idle = ^1y", "max_idle = ^-1"],
    ),
    ("invalid max_use parameter value 0 < 1", "such as 100", ["max_use = ^0"]),
    ("invalid in_flow_delay: 20 (max 10)", "such as 1s", ["in_flow_delay = ^20"]),
    ("bad string length 0 < 1: mail_name", "", ["mail_name =^"]),
    ("do not specify relative pathname", "", ["virtual_mailbox_base = ^v"]),
    (
        "unknown mailbox_delivery_lock value",
        "choose from fcntl, flock, dotlock",
        ["virtual_mailbox_lock = ^lock"],
    ),
    (
        "valid_hostname: misplaced",
        "",
        ["myhostname = a.b\nmydomain = ^a..b", "myhostname = ^-"],
    ),
    ("unrecognized value: x", "", ["syslog_facility = ^x"]),
    ("unknown inet_protocols value", "", ["inet_protocols = ^ipv5"]),
    ("malformed compatibility level", "", ["compatibility_level = ^x"]),
    ("cannot open file", "", ["myorigin = ^/nonexistent/name"]),
    ("must not contain multiple values", "", ["myorigin = ^a b"]),
    ("must not be identical", "", ["myhostname = a.b\nrelayhost = ^a.b"]),
    ("does not match any prefix", "", ["maillog_file = ^/etc/log"]),
    ("smaller than message_size_limit", "", ["virtual_mailbox_limit = ^5"]),
    ('invalid parameter setting "info_log', "", ["info_log_address_format = ^x"]),
    ("bad first VERP delimiter", "", ["default_verp_delimiters = ^x+"]),
]
IN_MASTER_CF = [
    ('missing "command" field', ["a unix - n n - -^"]),
    ("bad transport type", ["a ^udp - n n - - virtual"]),
    ('field "private": bad value', ["a unix ^x n n - - virtual"]),
    ('field "wakeup_time": bad value', ["a unix - n n ^x - virtual"]),
    ("inet service cannot be private", ["a inet ^y n n - - virtual"]),
    ("option value: missing '='", ["a unix - n n - - virtual -o ^ab"]),
    ("missing '}'", ["a unix - n n - - virtual -o ^{ab"]),
    ("syntax error after '}'", ["a unix - n n - - virtual {a}^b"]),
]


def pairs(table):
    return [
        (message, example) for message, examples, *_ in table for example in examples
    ]


def place_of(example, first_line):
    before = example[: example.index("^")]
    return first_line + before.count("\n"), len(before.split("\n")[-1])


def found(main_cf, example):
    directory = main_cf(BASE + example.replace("^", "") + "\n")
    return check(directory, process_name="virtual", service_name="virtual").problems


def matching(problems, message):
    (problem,) = [one for one in problems if message in render(one)]
    return problem


def assert_place(problem, example, first_line=2):
    line, column = place_of(example, first_line)
    assert (problem.origin.line, problem.origin.column) == (line, column)
    marked = example.split("\n")[line - first_line]
    assert problem.origin.source == marked.replace("^", "")
    assert render(problem).split("\n")[2].endswith("^")


@pytest.mark.parametrize(
    ("message", "example", "remedy"),
    [(m, e, remedy) for m, examples, remedy in IN_MAIN_CF for e in examples],
)
def test_a_bad_line_of_main_cf(message, example, remedy, main_cf):
    first = 2
    if example.startswith("^ "):  # else it would continue the line before
        directory = main_cf(example.replace("^", "") + f"\n{BASE}")
        problems = check(directory, process_name="x", service_name="x").problems
        first = 1
    else:
        problems = found(main_cf, example)
    problem = matching(problems, message)
    assert_place(problem, example, first)
    assert remedy in problem.remedy


@pytest.mark.parametrize(("message", "example"), pairs(IN_VALUES))
def test_a_bad_reference(message, example, main_cf):
    assert_place(matching(found(main_cf, example), message), example)


@pytest.mark.parametrize(
    ("message", "remedy", "example"),
    [(m, remedy, e) for m, remedy, examples in IN_TYPES for e in examples],
)
def test_a_bad_value(message, remedy, example, main_cf):
    problem = matching(found(main_cf, example), message)
    assert_place(problem, example)
    assert remedy in problem.remedy


@pytest.mark.parametrize(("message", "example"), pairs(IN_MASTER_CF))
def test_a_bad_entry_of_master_cf(message, example, main_cf):
    directory = main_cf("")
    with open(f"{directory}/master.cf", "w") as file:
        file.write("# comment\n" + example.replace("^", "") + "\n")
    problem = matching(read_master_cf(directory).problems, message)
    assert_place(problem, example)
    assert problem.remedy


@pytest.mark.parametrize(
    "example", [e for _, e in pairs(IN_VALUES)] + [e for *_, es in IN_TYPES for e in es]
)
def test_the_daemon_has_one_line_that_is_fatal(example, main_cf):
    directory = main_cf(BASE + example.replace("^", "") + "\n")
    with pytest.raises(ConfigError) as caught:
        load(directory, process_name="virtual", service_name="virtual")
    assert caught.value.text
    assert "\n" not in caught.value.text


def test_a_mistake_in_an_option_of_master_cf_is_shown_there(main_cf):
    directory = main_cf(BASE)
    entry = "a unix - n n - - virtual -o max_use=5 -o {max_idle = ${}"
    with open(f"{directory}/master.cf", "w") as file:
        file.write(f"{entry}}}\n")

    (service,) = read_master_cf(directory).services
    origins = {one.name: one.origin for one in service.options}
    problems = check(
        directory,
        service.overrides,
        process_name="virtual",
        service_name="a",
        origins=origins,
    ).problems
    (problem,) = problems
    assert problem.origin.file == f"{directory}/master.cf"
    assert problem.origin.line == 1
    assert problem.origin.column == entry.index("${") + 2
