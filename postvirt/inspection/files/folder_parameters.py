"""Parameters about folders that have no effect.

    PV020  no address has an extension, or none that counts; or folders are off

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.lists import split
from postvirt.inspection.commands import assign
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject

_FOLDERS = "postvirt_folders"
_CREATE = "postvirt_create_folders"

# Their tables answer whole addresses, or all.
_OF_WHOLE_ADDRESSES = ("pcre", "regexp", "static")


def check_folder_parameters(subject: Subject) -> Iterator[Problem]:
    """Whether mail can be for a folder at all."""
    settings = subject.settings
    if not settings.postvirt_folders:
        if settings.postvirt_create_folders:
            yield subject.problem(
                "PV020",
                f"{_CREATE} has no effect, because {_FOLDERS} = no",
                _CREATE,
                severity="warning",
                remedy=f"set {_FOLDERS} = yes, or remove {_CREATE}",
                commands=assign(settings, _FOLDERS, "yes"),
            )
    elif not settings.recipient_delimiter:
        yield subject.problem(
            "PV020",
            f"{_FOLDERS} has no effect: recipient_delimiter is empty, so no address"
            " has an extension",
            _FOLDERS,
            severity="warning",
            remedy="set recipient_delimiter = +",
            commands=assign(settings, "recipient_delimiter", "+"),
        )
    else:
        yield from _tables(subject)


def _tables(subject: Subject) -> Iterator[Problem]:
    tables = split(subject.settings.virtual_mailbox_maps)
    types = {one.removeprefix("proxy:").partition(":")[0] for one in tables}
    if types and types <= set(_OF_WHOLE_ADDRESSES):
        yield subject.problem(
            "PV020",
            f"{_FOLDERS} has no effect: {' and '.join(sorted(types))} tables have no"
            " entry for an address without its extension",
            _FOLDERS,
            severity="warning",
            remedy="have a table of another type in virtual_mailbox_maps; or let the"
            f" pattern make the path of the folder, and set {_FOLDERS} = no",
            commands=assign(subject.settings, _FOLDERS, "no"),
        )
