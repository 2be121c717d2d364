"""{...} at the start of a text, which may contain further braces.

Parity: src/util/balpar.c, extpar.c.
Raises: nothing.
"""

from __future__ import annotations


def balanced(text: str) -> int:
    """The number of characters of {...} at the start; 0 when it is not closed."""
    if not text.startswith("{"):
        return 0
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return index + 1
    return 0


def braced(text: str) -> tuple[str, str]:
    """The inside of {...} at the start, and Postfix's text for a mistake or "".

    Without the closing brace it is the rest; text after the brace is skipped.
    """
    length = balanced(text)
    if length == 0:
        return text[1:], f"missing '}}' in \"{text}\""
    if length < len(text):
        return text[1 : length - 1], f"syntax error after '}}' in \"{text}\""
    return text[1:-1], ""
