"""The grammars are found and fast enough."""

import subprocess
import sys

import pytest

from postvirt.config import grammar


@pytest.mark.parametrize("name", ["main_cf", "value", "table_list", "master_cf"])
def test_every_grammar_is_found_and_built_once(name):
    assert grammar.parser(name) is grammar.parser(name)


def test_after_prepare_nothing_is_read_or_imported():
    program = (
        "import sys\n"
        "from postvirt.config import grammar\n"
        "from postvirt.config.lists import split\n"
        "from postvirt.config.expansion import expand\n"
        "from postvirt.config.main_cf import parse\n"
        "import postvirt.config.load\n"
        "grammar.prepare()\n"
        "before = set(sys.modules)\n"
        "def watch(event, what):\n"
        "    if event in ('open', 'import'): sys.exit(f'{event} {what}')\n"
        "sys.addaudithook(watch)\n"
        "split('a{b}')\n"
        "expand('${{$a} <level {1} ? {b}:{c}}', {'a': '1'}.get)\n"
        "parse('a = b', 'main.cf', {})\n"
        "try: expand('${', {}.get)\n"
        "except Exception as error: assert 'truncated' in error.warnings[0]\n"
        "assert set(sys.modules) == before\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
