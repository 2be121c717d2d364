"""The exceptions that cross a module border.

PostvirtError
├── ConfigError      the configuration cannot be used; a person has to change it
├── TableError       a lookup could not be answered (never "not found")
├── ProtocolError    a peer sent something the protocol does not allow
└── QueueFileError   a queue file cannot be read as one

An expected failure of a delivery is not an exception but a value (model.outcome).
"""

from __future__ import annotations

from typing import Literal

from postvirt.model.origin import NOWHERE, Origin


class PostvirtError(Exception):
    """Base of all errors that postvirt raises on purpose; never raised itself."""


class ConfigError(PostvirtError):
    """A mistake in the configuration, with everything a person needs to mend it.

    text      what is wrong, in Postfix's words where Postfix has words for it
    origin    the offending character, where it is known
    remedy    one sentence: what to do about it, "" when the text already says it
    severity  "warning" when the configuration can be used all the same
    warnings  what Postfix logs as warnings before it calls `text` fatal

    log_settings is where the log goes (config.load.LogSettings), when the mistake is in
    a parameter that is read later; None otherwise. syslog_facility is read first.
    """

    log_settings: object = None
    syslog_facility: str = "mail"

    def __init__(
        self,
        text: str,
        *,
        origin: Origin = NOWHERE,
        remedy: str = "",
        severity: Literal["error", "warning"] = "error",
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text)
        self.text = text
        self.origin = origin
        self.remedy = remedy
        self.severity = severity
        self.warnings = warnings


class TableError(PostvirtError):
    """A table could not answer; the mail that depends on it is deferred."""


class ProtocolError(PostvirtError):
    """A peer broke the protocol; the text names the attribute and what was expected."""


class QueueFileError(PostvirtError):
    """The message content ends early or holds a record that does not belong there.

    record_type is the type byte, or -1 at the end of the file, or -2 for a record that
    cannot be read; detail says what is wrong with that one, "" otherwise.
    """

    def __init__(self, record_type: int, detail: str = "") -> None:
        super().__init__(detail or f"bad record type: {record_type}")
        self.record_type = record_type
        self.detail = detail
