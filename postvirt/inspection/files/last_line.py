"""A last line that does not end.

postconf(1) writes new lines behind it, on the same line: what it adds is lost, and the
last parameter has another value; behind a comment in master.cf, an entry is lost. The
commands of this report would do that, too.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.config_files import text_of
from postvirt.errors import ConfigError
from postvirt.inspection.commands import end_last_line
from postvirt.inspection.problem import Problem
from postvirt.inspection.source_files import Files
from postvirt.model.origin import Origin


def check_last_line(files: Files) -> Iterator[Problem]:
    """Of main.cf and master.cf; before other problems, whose commands may need it."""
    yield from _in_file(files.main_cf.path, files.main_cf.text)
    if files.master_cf is None:
        return
    try:
        text = text_of(files.master_cf.path)
    except ConfigError:
        return
    # Postfix writes all entries anew, but not what else is between them.
    if text.rpartition("\n")[2].startswith("#"):
        yield from _in_file(files.master_cf.path, text)


def _in_file(path: str, text: str) -> Iterator[Problem]:
    if not text or text.endswith("\n"):
        return
    lines = text.split("\n")
    yield Problem(
        "PV018",
        "the last line has no newline at its end",
        "warning",
        "",
        Origin(path, len(lines), lines[-1]),
        "add it before anything else is changed",
        end_last_line(path),
    )
