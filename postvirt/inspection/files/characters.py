"""Characters that Postfix does not read as an editor shows them.

A byte order mark at the beginning of a file becomes part of its first line: a comment
is none any more, and a parameter has another name. A no-break space, as in what is
copied from a web page, is no white space. CR LF at the end of lines does no harm.

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from postvirt.config.config_files import text_of
from postvirt.config.logical_lines import SPACE
from postvirt.config.main_cf import split_nameval
from postvirt.errors import ConfigError
from postvirt.inspection.commands import remove_byte_order_mark, substitute
from postvirt.inspection.files.comments import names_of_texts
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.model.origin import Origin

_MARK = "\ufeff"
# White space of typography, and what cannot be seen at all.
_INSTEAD = {"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u200b": "", "\u2060": ""}
_FOUND = re.compile(f"[{''.join(_INSTEAD)}]")


def check_characters(files: Files) -> Iterator[Problem]:
    """Of main.cf and master.cf."""
    main_cf = files.main_cf
    texts = names_of_texts(files)
    of_texts = {
        assignment.line + count
        for assignment in main_cf.assignments
        if assignment.name in texts
        for count in range(assignment.raw.count("\n") + 1)
    }
    yield from _in_file(main_cf.path, main_cf.text, of_texts)
    if files.master_cf is not None:
        try:
            text = text_of(files.master_cf.path)
        except ConfigError:
            return
        yield from _in_file(files.master_cf.path, text, set())


def _in_file(path: str, text: str, of_texts: Container[int]) -> Iterator[Problem]:
    """of_texts contains the numbers of lines in which any character is right."""
    if text.startswith(_MARK):
        first = split_nameval(text[1:].split("\n", maxsplit=1)[0])
        yield Problem(
            "PV016",
            "the file begins with a byte order mark, which editors do not show",
            "warning",
            first[0] if isinstance(first, tuple) else "",
            Origin(path, 1),
            "save it as UTF-8 without a byte order mark",
            remove_byte_order_mark(path),
        )
    lines = enumerate(text.split("\n"), start=1)
    found = {
        number: at
        for number, line in lines
        if number not in of_texts
        and not line.lstrip(SPACE).startswith("#")
        and (at := _FOUND.search(line))
    }
    # As white space at its beginning, it would make a line continue the one before.
    is_safe = all(at.start() for at in found.values())
    instead = {old: new for old, new in _INSTEAD.items() if old in text}
    for number, at in found.items():
        yield Problem(
            "PV017",
            f"U+{ord(at[0]):04X}, a space for people, is part of a word for Postfix",
            "warning",
            "",
            Origin(path, number, at.string, at.start()),
            "replace it with an ordinary space, or remove it",
            substitute(instead, path) if is_safe else (),
        )
