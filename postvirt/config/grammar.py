"""The lark grammars, found and built once.

In a checkout the grammar files are in grammar/ at the top; in an installed package
they are in postvirt/grammar/. lark is imported with the first parser, which most
processes never need (config.usual).

Raises: FileNotFoundError when the package is incomplete.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lark import Lark

_STARTS: dict[str, list[str]] = {
    "main_cf": ["start"],
    "value": ["reference"],
    "master_cf": ["start"],
}

# The grammar whose trees contain every token; for the others, positions are enough.
_WHOLE = "main_cf"


def grammar_text(name: str) -> str:
    """The text of a grammar file, named without ".lark"."""
    from pathlib import Path

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
        keep_all_tokens=name == _WHOLE,
        propagate_positions=name != _WHOLE,
    )
