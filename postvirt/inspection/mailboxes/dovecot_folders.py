"""Whether Dovecot has folders where the delivery agent has them.

    PV223  another layout, other names, or subscriptions elsewhere

Only what is set for all of Dovecot's namespaces and users is known here.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from postvirt.config.created_folders import created_folders
from postvirt.inspection.commands import assign
from postvirt.inspection.mailboxes.dovecot import Setting, folder_settings_of
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.subject import Subject

_FOLDERS = "postvirt_folders"
_CREATE = "postvirt_create_folders"


def check_dovecot_folders(subject: Subject) -> Iterator[Problem]:
    """Compare the settings with those of Dovecot."""
    settings = subject.settings
    if not settings.postvirt_folders or not settings.recipient_delimiter:
        return
    theirs = folder_settings_of(subject.extent.dovecot)
    layout = theirs.get("layout")
    if layout is not None and layout.value.lower() != "maildir++":
        yield _problem(
            subject,
            f"Dovecot keeps folders in the layout {layout.value} ({_place(layout)}),"
            " and mail is delivered to those of a maildir (Maildir++)",
            _FOLDERS,
            "warning",
            "no",
        )
    else:
        yield from _new_folders(subject, theirs)


def _new_folders(subject: Subject, theirs: Mapping[str, Setting]) -> Iterator[Problem]:
    settings = subject.settings
    if not settings.postvirt_create_folders:
        return
    created = created_folders(settings.postvirt_create_folders)
    names_are_simple = all(
        name.isascii() and "&" not in name for name in created.names.values()
    )
    utf8, control = theirs.get("utf8"), theirs.get("control")
    if utf8 is not None and (created.is_any or not names_are_simple):
        yield _problem(
            subject,
            f"Dovecot names directories of folders in UTF-8 ({_place(utf8)}), and mail"
            " creates them in modified UTF-7",
            _CREATE,
            "warning",
            "",
        )
    if control is not None:
        yield _problem(
            subject,
            f"Dovecot keeps subscriptions in {control.value} ({_place(control)}): users"
            " have to subscribe to new folders themselves",
            _CREATE,
            "info",
            "",
        )


def _problem(
    subject: Subject, text: str, parameter: str, severity: Severity, value: str
) -> Problem:
    return subject.problem(
        "PV223",
        text,
        parameter,
        severity=severity,
        remedy=f"set {parameter} = {value}".rstrip()
        + ("" if value else " (empty), and let mail programs create folders"),
        commands=assign(subject.settings, parameter, value),
    )


def _place(setting: Setting) -> str:
    return f"{setting.origin.file}, line {setting.origin.line}"
