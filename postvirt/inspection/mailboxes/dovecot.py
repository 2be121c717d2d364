"""What Dovecot's configuration says about locks of mbox files, quotas and folders.

The last value of a name wins, and included files are read where they are named. Only
settings outside of all braces count, or those of a section that is named here. All
other settings are skipped, because the files may contain passwords.

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
# Up to version 2.3 quotas are in "plugin { ... }", then in "quota NAME { ... }", where
# the beginning of a name may be missing, or outside of all braces.
_QUOTA = "quota"
_OF_QUOTAS = ("plugin", _QUOTA, "mailbox")
# Options of mail_location, and their names since version 2.4.
_OF_FOLDERS = {
    "LAYOUT": "layout",
    "mailbox_list_layout": "layout",
    "UTF-8": "utf8",
    "mailbox_list_utf8": "utf8",
    "CONTROL": "control",
    "mail_control_path": "control",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and where it is."""

    value: str
    origin: Origin


def settings_of(path: str) -> dict[str, Setting]:
    """The settings about mbox files; {} when the file cannot be read."""
    return {
        name: setting
        for section, name, setting in _settings(path, [])
        if not section and name in _WANTED
    }


def quota_settings_of(path: str) -> dict[str, Setting]:
    """The settings about quotas, whose names all begin with "quota".

    Those of a mailbox are "mailbox NAME quota_ignore".
    """
    found = {}
    for section, name, setting in _settings(path, []):
        kind = section.partition(" ")[0]
        if kind == _QUOTA and not name.startswith(_QUOTA):
            found[f"{_QUOTA}_{name}"] = setting
        elif name.startswith(_QUOTA) and (not section or kind in _OF_QUOTAS):
            found[f"{section} {name}" if kind == "mailbox" else name] = setting
    return found


def folder_settings_of(path: str) -> dict[str, Setting]:
    """The layout, "utf8" if names are in UTF-8, and the place of the control files.

    Up to version 2.3, they are at the end of mail_location.
    """
    found = {}
    for section, name, setting in _settings(path, []):
        if section:
            continue
        if name == "mail_location":
            for option in setting.value.split(":")[2:]:
                key, _, value = option.partition("=")
                if key in _OF_FOLDERS:
                    found[_OF_FOLDERS[key]] = Setting(value, setting.origin)
        elif name in _OF_FOLDERS and setting.value not in ("", "no"):
            found[_OF_FOLDERS[name]] = setting
    return found


def uses_mbox(settings: dict[str, Setting]) -> bool:
    """Whether Dovecot may use mbox files."""
    driver = settings.get("mail_driver") or settings.get("mail_location")
    if driver is None:
        return True
    kind = driver.value.partition(":")[0]
    return kind in ("mbox", "auto", "")


def _settings(path: str, files: list[str]) -> Iterator[tuple[str, str, Setting]]:
    """The innermost section, name and value of each; "" outside of all sections."""
    if path in files or len(files) >= _MOST_INCLUDED:
        return
    files.append(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except OSError:
        return
    sections: list[str] = []
    for number, source in enumerate(lines, start=1):
        line = re.sub(r"(^|\s)#.*", "", source).strip()
        included = _INCLUDE.match(line)
        if included:
            pattern = os.path.join(os.path.dirname(path), included[2])
            for one in sorted(glob.glob(pattern)):
                if not sections:
                    yield from _settings(one, files)
            continue
        setting = _SETTING.match(line)
        if setting:
            origin = Origin(path, number, source, source.index(setting[1]))
            value = setting[2].strip().strip("\"'")
            yield sections[-1] if sections else "", setting[1], Setting(value, origin)
        elif line.endswith("{"):
            sections.append(" ".join(line[:-1].replace('"', "").split()))
        elif line.startswith("}") and sections:
            sections.pop()
