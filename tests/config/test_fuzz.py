"""Whatever is in the files, the loader answers, soon, and only with ConfigErrors."""

import random
import time
from itertools import pairwise

import pytest

from postvirt.config.evaluation import evaluate
from postvirt.config.load import load
from postvirt.config.main_cf import parse as parse_main_cf
from postvirt.config.master_cf import parse as parse_master_cf
from postvirt.config.parameters import PARAMETERS
from postvirt.errors import ConfigError
from postvirt.model.text import text

PARTS = 4
FILES = 1_250
MOST_LINES = 5
LONGEST_SECONDS = 2

PIECES = [
    *'$ ${ $( { } ( ) ? : = == != < <level >=level , ! / # $$ \\ " \0 \n \r \t'.split(
        " "
    ),
    *("\n ", "\n#", "\n  #", " = ", "\x0b", "\xff", "\xc3\xa4", "\u2028", "9" * 30),
    *"hash:/x static:5000 inline:{a=b} 5s 1d2h yes no 0 -1 3.6".split(),
    *"virtual unix - n".split(),
    *("-o", "-o {", "x" * 300, "domain_to_ascii{", "domain_to_utf8{xn--"),
]
NAMES = [*PARAMETERS, "a", "b", "c", "process_id", "virtual_mailbx_maps"]
SEEDS = [
    "virtual_mailbox_base = /v",
    "mail_name = ${{$compatibility_level} <level {1} ? {no} : {yes}}",
    "a = $b$b$b\nb = $c$c$c\nc = $a$a",
    "myhostname = $mydomain\nmydomain = $myhostname",
    "fast_flush_domains = !/etc/x, {a b}, hash:/y",
    "syslog_name = ${multi_instance_name?{$multi_instance_name}:{postfix}}",
    "virtual unix - n n - - virtual -o { a = b } -o c=d",
]


def line(draw):
    """One line, made up or mutated."""
    kind = draw.random()
    if kind < 0.3:
        made = draw.choice(SEEDS)
    elif kind < 0.8:
        name = draw.choice(NAMES)
        made = f"{name} = " + "".join(
            draw.choice([*PIECES, "$" + draw.choice(NAMES)])
            for _ in range(draw.randrange(8))
        )
    else:
        made = "".join(draw.choice(PIECES) for _ in range(draw.randrange(10)))
    if draw.random() < 0.5:
        place = draw.randrange(len(made) + 1)
        cut = place + draw.randrange(3)
        made = made[:place] + draw.choice(PIECES) + made[cut:]
    return made


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_five_thousand_files_give_values_or_errors_with_a_place(part):
    draw = random.Random(20240304 + part)
    fixed = {row.name: "x" for row in PARAMETERS.values() if row.kind == "fixed"}
    for _ in range(FILES):
        content = "\n".join(line(draw) for _ in range(draw.randint(1, MOST_LINES)))
        if draw.random() < 0.1:
            content = text(draw.randbytes(200))
        began = time.process_time()
        main_cf = parse_main_cf(content, "main.cf", {})
        assigned = {one.name: one.value for one in main_cf.assignments}
        evaluated = evaluate(assigned, fixed, "host", lambda path: path[1:] or "x")
        lines = content.split("\n")
        for problem in main_cf.problems:
            assert isinstance(problem, ConfigError)
            assert lines[problem.origin.line - 1] == problem.origin.source
        for problem in evaluated.problems:
            first = problem.mistakes[0]
            found = main_cf.last_assignment(first.parameter)
            if found:
                place = main_cf.value_origin(found, first.offset)
                assert lines[place.line - 1] == place.source
                assert 0 <= place.column <= len(place.source)
        for problem in parse_master_cf(content, "master.cf").problems:
            assert lines[problem.origin.line - 1] == problem.origin.source
        assert time.process_time() - began < LONGEST_SECONDS, content


def outcome(directory):
    """What a daemon gets, or what it ends with."""
    try:
        loaded = load(directory, process_name="virtual", service_name="virtual")
    except ConfigError as error:
        return error.text, error.warnings
    return vars(loaded.settings)


def test_whole_files_load_or_are_refused(main_cf):
    draw = random.Random(20240305)
    loaded = 0
    for _ in range(200):
        content = "\n".join(["virtual_mailbox_base = /v", *(line(draw) for _ in "123")])
        directory = main_cf(content.encode("utf-8", "surrogateescape"))
        result = outcome(directory)
        assert result == outcome(directory)
        loaded += isinstance(result, dict)
    assert loaded


def test_a_value_that_grows_without_end_is_refused_soon(main_cf):
    names = [f"n{number}" for number in range(60)]
    lines = [f"{a} = ${b}${b}" for a, b in pairwise(names)]
    for last in ("", "x" * 1000):
        content = "\n".join([*lines, f"{names[-1]} = {last}", "mail_name = $n0"])
        began = time.process_time()
        directory = main_cf(f"virtual_mailbox_base = /v\n{content}\n")
        fatal, warnings = outcome(directory)
        assert fatal == "dictionary mail_dict: macro processing error"
        assert warnings[-1].startswith("unreasonable macro expansion size: ")
        assert time.process_time() - began < LONGEST_SECONDS
