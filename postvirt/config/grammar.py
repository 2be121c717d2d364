"""The lark grammars, found and built once.

In a checkout the grammar files are in grammar/ at the top; in an installed package
they are in postvirt/grammar/. lark is imported with the first parser; a
process that will give up its privileges calls `prepare` before.

Raises: FileNotFoundError when the package is incomplete.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lark import Lark

_STARTS: dict[str, list[str]] = {
    "main_cf": ["start"],
    "value": ["text", "reference"],
    "table_list": ["start"],
    "master_cf": ["file", "entry"],
}

# Grammars whose trees contain every token; for the others, positions are enough.
_WHOLE = ("main_cf", "table_list")


def grammar_text(name: str) -> str:
    """The text of a grammar file, named without ".lark"."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "grammar" / f"{name}.lark"
    checkout = package.parent / "grammar" / f"{name}.lark"
    path = installed if installed.is_file() else checkout
    return path.read_text("ascii")


@cache
def parser(name: str) -> Lark:
    """The parser of a grammar; the same object every time."""
    from lark import Lark

    return Lark(
        grammar_text(name),
        parser="lalr",
        lexer="contextual",
        start=_STARTS[name],
        maybe_placeholders=False,
        keep_all_tokens=name in _WHOLE,
        propagate_positions=name not in _WHOLE,
    )


def prepare() -> None:
    """Build the parsers that a worker may need, while the files can be read.

    A worker never reads master.cf.
    """
    for name in _STARTS.keys() - {"master_cf"}:
        parser(name)
