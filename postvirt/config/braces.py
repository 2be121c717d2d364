"""{...} in a text, which may contain further braces.

Parity: src/util/balpar.c, extpar.c.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator


def balanced(text: str, begin: int = 0, *, kind: str = "{}") -> int:
    """The number of characters of {...} that begins there; 0 when it is not closed.

    kind is the two characters; others do not count.
    """
    opening, closing = kind[0], kind[1]
    if not text.startswith(opening, begin):
        return 0
    depth = 0
    for index in range(begin, len(text)):
        depth += (text[index] == opening) - (text[index] == closing)
        if depth == 0:
            return index + 1 - begin
    return 0


def items(text: str, separators: str) -> Iterator[tuple[int, int]]:
    """Where the items begin and end that are between these characters.

    {...} keeps an item together. A brace that is never closed reaches to the end.
    """
    begin = at = 0
    while at < len(text):
        if text[at] in separators:
            if begin < at:
                yield begin, at
            begin = at = at + 1
        elif text[at] == "{":
            at += balanced(text, at) or len(text)
        else:
            at += 1
    if begin < len(text):
        yield begin, len(text)


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
