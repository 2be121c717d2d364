"""etc/differences.md has every difference on purpose, in the code and in the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from scripts.differences import FILE, ROOT, differences, generated
from tests.comparison.scenarios import SCENARIOS

_DIFFERENCES = differences()
_TITLES = [one.title for one in _DIFFERENCES]
_MODULES = sorted((ROOT / "postvirt").rglob("*.py"))
_PARITY = re.compile(
    r"^Parity: .+?(?=\n\n|\n[A-Z][a-z]+: |\Z)", re.MULTILINE | re.DOTALL
)


def test_it_is_up_to_date() -> None:
    text = FILE.read_text()
    assert generated(text) == text


def test_every_title_is_given_once() -> None:
    assert sorted(set(_TITLES)) == sorted(_TITLES)
    text = FILE.read_text()
    assert [one for one in _TITLES if f"* **{one}.** " not in text] == []


def test_every_section_is_read() -> None:
    written = sum(
        len(re.findall(r"(?m)^ *Differs:", path.read_text())) for path in _MODULES
    )
    assert written == len(_DIFFERENCES) > 50


def test_every_difference_that_the_comparison_expects_is_told() -> None:
    expected = {one.differs for one in SCENARIOS if one.differs}
    assert len(expected) > 20
    assert expected <= set(_TITLES)


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.stem)
def test_no_parity_note_hides_a_difference(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    notes = " ".join(_PARITY.findall(docstring))
    words = re.findall(r"(?i)\b(?:differs?|unlike|but for)\b", notes)
    assert words == []
