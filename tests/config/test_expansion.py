"""Values expand as Postfix expands them."""

import time

import pytest

from postvirt.config.expansion import expand, scan
from postvirt.errors import ConfigError

NAMES = {
    "a": "A",
    "empty": "",
    "n": "12",
    "nested": "[$a]",
    "level": "3.6",
    "dollar": "$$a",
    "loop": "x$loop",
    "u": "\u00e4",
}

GOOD = [
    ("", ""),
    ("plain, text", "plain, text"),
    ("$a", "A"),
    ("${a}$(a)", "AA"),
    ("$a.b-$a_b", "A.b-"),
    ("$$a $$$a", "$a $A"),
    ("$nested ${nested}", "[A] [A]"),
    ("<$dollar>", "<$a>"),
    ("<$unknown${unknown}>", "<>"),
    ("$u", "\u00e4"),
    ("${a?set}${a:unset}", "set"),
    ("${empty?set}${empty:unset}", "unset"),
    ("${unknown?set}${unknown:unset}", "unset"),
    ("${a?{yes}:{no}} ${empty?{yes}:{no}}", "yes no"),
    ("${a ? {yes} : {no}}", "yes"),
    ("${ a ?{ y e s }}", " y e s "),
    ("${a?x:y}", "x:y"),
    ("${a??x}", "?x"),
    ("${a? x}|", " x|"),
    ("${a?{x}:y}", "x"),
    ("${empty?{x}:y z}", "y z"),
    ("$(a?(b))", "(b)"),
    ("$(a?{b})", "b"),
    ("${a?{{b}}}", "{b}"),
    ("${a?{$nested}:{${}}}", "[A]"),
    ("${empty?{$}:{fine}}", "fine"),
    ("${a?}${a:}${empty?}", ""),
    ("${ }${?x}${:y}", "y"),
    ("${{a} == {a}}", "true"),
    ("<${{a} == {b}}>", "<>"),
    ("${{$n} == {012} ? {same} : {different}}", "same"),
    ("${{9} < {$n}?{number}:{text}}", "number"),
    ("${{9x} < {$n}?{number}:{text}}", "text"),
    ("${{a}!={b}?{1}}${{a}<={a}?{2}}${{b}>={a}?{3}}${{b}>{a}?{4}}", "1234"),
    ("${{} == {}:{x}}", ""),
    ("${{$level} <level {3.10} ? {older} : {newer}}", "older"),
    ("${{3.6} ==level {3.6.0}?{1}}${{ 03} <=level {+3.0.1}?{2}}", "12"),
    ("${{$a}=={A}?{${{x}=={x}?{deep}}}}", "deep"),
    ("${{\u00e4} > {z}?{bytes}}", "bytes"),
]

BAD = [
    ("$", 'empty macro name: "$"', 0),
    ("a$-b", 'empty macro name: "a$-b"', 1),
    ("${}", 'empty macro name: "${}"', 2),
    ("x${a", 'truncated macro reference: "x${a"', 4),
    ("$(a", 'truncated macro reference: "$(a"', 3),
    ("${a?{b}", 'truncated macro reference: "${a?{b}"', 7),
    ("$({a)", 'unbalanced {} in attribute expression: "{a"', 2),
    (
        "$({a}?{b)",
        '"==" or "!="" or "<"" or "<="" or ">="" or ">" expected at: "...a}>>>?{b"',
        5,
    ),
    ("$(a?{b)", 'unbalanced {} in attribute expression: "{b"', 4),
    ("${a b}", 'attribute name syntax error at: "...a>>> b"', 3),
    ("${-}", 'attribute name syntax error at: "...>>>-"', 2),
    ("${a.b?c}", 'attribute name syntax error at: "...a>>>.b?c"', 3),
    ("${a?{b}c}", '":" expected at: "...b}>>>c"', 7),
    ("${a?{b}:{c}d}", 'unexpected input at: "...c}>>>d"', 11),
    ("${a:{b}c}", 'unexpected input at: "...b}>>>c"', 7),
    ("${a:{b}:{c}}", 'unexpected input at: "...b}>>>:{c}"', 7),
    ("${{a} == {b} x}", '"?" or ":" expected at: "...}>>>x"', 13),
    ("${{a} == b}", '"{expression}" expected at: "...{a} ==>>> b"', 8),
    ("${{a} ==foo {b}}", 'bad operator suffix at: "...==>>>foo"', 8),
    ("${{x} ==level {3}}", 'malformed compatibility level syntax: "x"', 3),
    ("$loop", 'unreasonable macro call nesting: "x"', 0),
]
ANY = '"==" or "!="" or "<"" or "<="" or ">="" or ">"'
BAD += [
    ("${{a}}", f'{ANY} expected at: "...a}}>>>"', 5),
    ("${{a}?b}", f'{ANY} expected at: "...a}}>>>?b"', 5),
    ("${{a} =! {b}}", f'{ANY} expected at: "...a}}>>>=! {{b}}"', 6),
    ("${{{a}} x {b}}", f'{ANY} expected at: "...{{a}}}}>>>x {{b}}"', 8),
]


def first_mistake(value, names):
    with pytest.raises(ConfigError) as caught:
        expand(value, names.get)
    return caught.value.mistakes[0].text


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_a_good_value_expands(value, expected):
    assert expand(value, NAMES.get) == expected


@pytest.mark.parametrize(("value", "message", "offset"), BAD)
def test_a_bad_value_is_refused_with_postfix_text_and_its_place(value, message, offset):
    with pytest.raises(ConfigError) as caught:
        expand(value, NAMES.get, "given")
    first = caught.value.mistakes[0]
    assert (first.text, first.offset) == (message, offset)


def test_the_error_names_the_parameter_that_holds_the_mistake():
    names = {"a": "$b", "b": "x $"}
    with pytest.raises(ConfigError) as caught:
        expand("$a", names.get, "given")
    first = caught.value.mistakes[0]
    assert (first.parameter, first.offset) == ("b", 2)


@pytest.mark.parametrize("depth", [100, 101, 102])
def test_nesting_is_limited_where_postfix_limits_it(depth):
    names = {f"p{number}": f"$p{number + 1}" for number in range(depth - 1)}
    names[f"p{depth - 1}"] = "end"
    if depth <= 100:
        assert expand("$p0", names.get) == "end"
    else:
        assert "unreasonable macro call nesting" in first_mistake("$p0", names)


def test_a_loop_through_a_comparison_ends():
    found = first_mistake("$a", {"a": "${{$a} == {}}"})
    assert "unreasonable macro call nesting" in found


def test_mistakes_are_found_in_the_order_of_postfix():
    with pytest.raises(ConfigError) as caught:
        expand("${a b} $x $- $", NAMES.get)
    assert [mistake.offset for mistake in caught.value.mistakes] == [3, 10]


def test_after_a_mistake_a_reference_in_braces_ends_the_value_as_in_postfix():
    with pytest.raises(ConfigError) as caught:
        expand("${a b} ${x} $- $", NAMES.get)
    assert [mistake.offset for mistake in caught.value.mistakes] == [3]


@pytest.mark.parametrize("last", ["", "x" * 1000])
def test_an_expansion_that_gets_too_big_is_refused(last):
    names = {f"n{number}": f"$n{number + 1}" * 2 for number in range(60)}
    found = first_mistake("$n0", names | {"n60": last})
    assert "unreasonable macro expansion size" in found


def test_a_loop_in_a_long_value_is_refused_before_it_fills_the_memory():
    """Postfix warns of each of the references once more at each level of the loop."""
    with pytest.raises(ConfigError) as caught:
        expand("$a" * 5000, {"a": "$a" * 5000}.get)
    assert len(caught.value.mistakes) < 20_100
    assert "unreasonable macro expansion size" in caught.value.mistakes[-1].text


def test_four_times_the_text_after_a_mistake_takes_about_four_times_as_long():
    def seconds(length: int) -> float:
        names = {"loop": "$loop" + "$$" * length + "$loop"}
        found = []
        for _ in range(3):
            began = time.process_time()
            with pytest.raises(ConfigError):
                expand("$loop", names.get)
            found.append(time.process_time() - began)
        return min(found)

    assert seconds(800) < 10 * seconds(200)


def test_many_references_in_one_value_are_fine():
    assert expand("$a " * 10_000, NAMES.get) == "A " * 10_000


def test_a_number_that_ends_postfix_is_fatal():
    with pytest.raises(ConfigError) as caught:
        expand("${{1} < {99999999999999999999}}", NAMES.get)
    assert caught.value.text == "mac_exp_eval: bad conversion: 99999999999999999999"


def test_a_scan_visits_every_operand_and_follows_no_name():
    names: list[str] = []
    value = "$a${b?$c:x}${d?{$e}:{$f}}${{$g} == {$h}?{$i}}${domain_to_ascii{$j}}"
    assert scan(value, names.append) == ()
    assert names == list("abcdefghij")


def test_a_scan_reports_the_mistakes_of_every_operand():
    mistakes = scan("${empty?{$}}${a:{${}}}", lambda name: None, "given")
    assert [(one.parameter, one.offset) for one in mistakes] == [("given", 9)]


def test_a_scan_reports_that_there_are_too_many_references():
    (mistake,) = scan("$a" * 20_001, lambda name: None)
    assert "unreasonable macro expansion size" in mistake.text


def definitions():
    return "".join(
        f"{name} = {value}\n" for name, value in NAMES.items() if name != "loop"
    )


@pytest.mark.postfix
@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_postconf_expands_it_to_the_same(value, expected, main_cf, postconf):
    directory = main_cf(f"{definitions()}mail_spool_directory = <{value}>\n")
    shown = postconf("-c", directory, "-x", "-h", "mail_spool_directory")
    assert shown == [" ".join(f"<{expected}>".split())]


@pytest.mark.postfix
def test_postfix_refuses_bad_values_with_the_same_words(
    main_cf, complaints, our_complaints
):
    directories = [
        main_cf(f"{definitions()}loop=x$loop\nrelayhost = {value}\n")
        for value, _, _ in BAD
    ]
    for directory, case, theirs in zip(
        directories, BAD, complaints(directories), strict=True
    ):
        assert theirs[0] == f"warning: {case[1]}"
        assert our_complaints(directory) == theirs
