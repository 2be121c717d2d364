"""The grammars are found."""

import pytest

from postvirt.config import grammar


@pytest.mark.parametrize("name", ["main_cf", "value", "master_cf"])
def test_every_grammar_is_found_and_built_once(name):
    assert grammar.parser(name) is grammar.parser(name)
