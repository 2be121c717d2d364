"""The syntax that the names of tables share: braces, keys, pairs.

Parity: src/util/extpar.c, split_qnameval.c.
Raises: ValueError with Postfix's text for what is wrong.
"""

from __future__ import annotations

import re
from functools import cache

from postvirt.config.braces import braced

# isspace(3) in the C locale: Postfix trims these.
SPACE = " \t\r\n\v\f"


def strip_braces(text: str) -> str:
    """The text inside {...}, without white space around it."""
    if not text.startswith("{"):
        raise ValueError(f"no '{{' at start of text in \"{text}\"")
    inside, problem = braced(text)
    if problem:
        raise ValueError(problem)
    return inside.strip(SPACE)


@cache
def _plain(stop: str) -> re.Pattern[str]:
    """The text before a character of `stop`, a quote or a backslash."""
    return re.compile(rf'[^"\\{re.escape(stop)}]*')


@cache
def _key(stop: str) -> re.Pattern[str]:
    """A key up to a character of `stop`, or up to a quote that is not closed."""
    return re.compile(
        rf'(?:[^"\\{re.escape(stop)}]+|\\.?|"(?:[^"\\]|\\.)*")*', re.DOTALL
    )


def end_of_key(text: str, stop: str) -> int:
    """Where the key at the start of text ends: at the first `stop` outside quotes.

    Quotes and backslashes are part of the key.
    """
    found = _plain(stop).match(text)
    end = found.end() if found else 0
    if text[end : end + 1] not in ('"', "\\"):
        return end  # most keys are that simple
    found = _key(stop).match(text)
    end = found.end() if found else 0
    if text[end : end + 1] == '"':
        raise ValueError("unbalanced '\"'")
    return end


def split_pair(text: str) -> tuple[str, str]:
    """The key and the value of "key = value"."""
    text = text.lstrip(SPACE)
    if not text:
        raise ValueError("no key found; expected format: key = value")
    end = end_of_key(text, SPACE + "=")
    rest = text[end:].lstrip(SPACE)
    if not rest.startswith("="):
        raise ValueError("missing '=' after attribute name")
    return text[:end], rest[1:].strip(SPACE)
