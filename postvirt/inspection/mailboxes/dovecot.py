"""How Dovecot locks mbox files, according to its configuration.

Only settings outside of all braces count, the last value of a name wins, and included
files are read where they are named. All other settings are skipped, because the files
may contain passwords.

Raises: nothing.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from postvirt.model.origin import Origin

_INCLUDE = re.compile(r"!include(_try)?\s+(\S+)")
_SETTING = re.compile(r"([A-Za-z0-9_]+)\s*=\s*(.*)")
_MOST_INCLUDED = 100
_WANTED = ("mbox_write_locks", "mail_location", "mail_driver")


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and where it is."""

    value: str
    origin: Origin


def settings_of(path: str) -> dict[str, Setting]:
    """The settings about mbox files; {} when the file cannot be read."""
    return {name: setting for name, setting in _settings(path, []) if name in _WANTED}


def uses_mbox(settings: dict[str, Setting]) -> bool:
    """Whether Dovecot may use mbox files."""
    driver = settings.get("mail_driver") or settings.get("mail_location")
    if driver is None:
        return True
    kind = driver.value.partition(":")[0]
    return kind in ("mbox", "auto", "")


def _settings(path: str, files: list[str]) -> Iterator[tuple[str, Setting]]:
    if path in files or len(files) >= _MOST_INCLUDED:
        return
    files.append(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except OSError:
        return
    depth = 0
    for number, source in enumerate(lines, start=1):
        line = re.sub(r"(^|\s)#.*", "", source).strip()
        included = _INCLUDE.match(line)
        if included:
            pattern = os.path.join(os.path.dirname(path), included[2])
            for one in sorted(glob.glob(pattern)):
                if depth == 0:
                    yield from _settings(one, files)
            continue
        setting = _SETTING.match(line)
        if setting and depth == 0:
            origin = Origin(path, number, source, source.index(setting[1]))
            value = setting[2].strip().strip("\"'")
            yield setting[1], Setting(value, origin)
            continue
        depth += line.endswith("{") - line.startswith("}")
