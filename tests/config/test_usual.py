"""What is read without a grammar is read as the grammar would."""

import random
import subprocess
import sys

from hypothesis import given, settings
from lark import Token

from postvirt.config import reference, usual
from postvirt.config.grammar import parser
from postvirt.config.load import Texts
from postvirt.config.main_cf import _lines
from postvirt.config.parameters import PARAMETERS
from postvirt.config.reference import Macro, Part, _taken_apart, parts
from tests.config.strategies import VALUES

FILES = 1_000
LINES = [
    *("relayhost = a", "mail_name=", "a = b # c", "a b = c", "b\v=d", "x = \0y"),
    *("", "#", "# c", "  # x", " \t", "\r", "\v", " y", "\t# z", "\u2028"),
    *("a\n = b", "a\n# c\n\n =", "a =\n\n b", " orphan", "malformed", "= a"),
]


def test_lines_are_read_as_the_grammar_reads_them():
    draw = random.Random(20240304)
    usual_files = 0
    for _ in range(FILES):
        some = [draw.choice(LINES) for _ in range(draw.randrange(7))]
        content = "\n".join(some) + draw.choice(["", "\n"])
        found = usual.lines(content)
        usual_files += found is not None
        assert found is None or found == list(_lines(content)), content
    assert FILES / 4 < usual_files < FILES


def test_entries_are_read_as_the_grammar_reads_them():
    draw = random.Random(20240305)
    usual_files = 0
    for _ in range(FILES):
        some = [draw.choice(LINES) for _ in range(draw.randrange(7))]
        content = "\n".join(some) + draw.choice(["", "\n"])
        found = usual.entries(content)
        children = parser("master_cf").parse(content).children
        tokens = [token for token in children if isinstance(token, Token)]
        if found is None:
            assert any(token.type == "ORPHAN" for token in tokens)
            continue
        usual_files += 1
        wanted = [(str(token), token.start_pos) for token in tokens]
        assert [(one[0], one.start()) for one in found] == wanted, content
    assert FILES / 4 < usual_files < FILES


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_references_are_read_as_the_grammar_reads_them(value):
    for part in parts(Part(value, 7)):
        if isinstance(part, Macro):
            ours = reference._usual(part)
            assert ours is None or ours == _taken_apart(part, len(part.text))


def test_all_defaults_and_common_references_are_usual():
    texts = [row.default for row in PARAMETERS.values()]
    common = "${a} $(a) ${a?b} ${a:b c} ${a?{b}:{c}} ${ a } ${{$a} == {b} ? {$c} : {d}}"
    macros = [
        part
        for value in [*texts, common]
        for part in parts(Part(value, 0))
        if isinstance(part, Macro)
    ]
    assert len(macros) > len(texts) / 20
    assert [one for one in macros if usual.operands(one.text) is None] == []


def test_braces_that_are_deep_or_never_closed_end_soon():
    many = 5_000
    for value in ("{" * many, "{a" * many, "{a} <level " * many, "a?{{}" * many):
        assert usual.operands(value) is None
    assert usual.operands("a?{" + "{b}" * many + "}") is not None


def test_what_a_worker_may_expand_is_read_before():
    """A worker may not be able to import lark."""
    program = (
        "import sys\n"
        "from postvirt.config.load import Texts\n"
        "odd, usual = sys.argv[1:]\n"
        "texts = Texts({'usual': usual})\n"
        "texts.prepare()\n"
        "assert texts('usual') == 'b'\n"
        "assert 'lark' not in sys.modules\n"
        "texts = Texts({'odd': odd, 'set': 'x'})\n"
        "texts.prepare()\n"
        "assert 'lark' in sys.modules\n"
        "before = set(sys.modules)\n"
        "def watch(event, what):\n"
        "    if event in ('open', 'import'): sys.exit(f'{event} {what}')\n"
        "sys.addaudithook(watch)\n"
        "try: texts('odd')\n"
        "except Exception as error: assert 'name syntax' in error.warnings[0], error\n"
        "else: sys.exit('no mistake')\n"
        "assert set(sys.modules) == before\n"
    )
    arguments = ["${set?{${a!}}}", "${a?{c}:{b}}"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_preparing_ignores_what_cannot_be_expanded():
    Texts({"a": "${", "b": "$a" * 100_000, "c": "$d", "d": "${}"}).prepare()
