"""The exceptions that cross a module border.

PostvirtError
├── ConfigError      the configuration cannot be used; a person has to change it
├── TableError       a lookup could not be answered (never "not found")
├── ProtocolError    a peer sent something the protocol does not allow
└── QueueFileError   a queue file cannot be read as one
    └── QueueFileReadError   because the machine cannot read it now

An expected failure of a delivery is not an exception but a value (model.outcome).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from postvirt.model.origin import NOWHERE, Origin


class PostvirtError(Exception):
    """Base of all errors that postvirt raises on purpose; never raised itself."""


class Mistake(NamedTuple):
    """A mistake in the value of a parameter.

    text        what Postfix warns about, "" when it does not warn
    offset      0-based, into the value
    parameter   the one whose value contains the mistake, "" when unknown
    """

    text: str
    offset: int = 0
    parameter: str = ""


class ConfigError(PostvirtError):
    """A configuration that cannot be used, with all that is needed to correct it.

    text      what is wrong, in Postfix's words where Postfix has words for it
    origin    the offending character, if it is known
    remedy    one sentence that says how to correct it, "" when the text already does
    severity  "warning" when the configuration can be used all the same
    mistakes  those in values, in the order in which Postfix warns about them before it
              calls `text` fatal
    """

    def __init__(
        self,
        text: str,
        *,
        origin: Origin = NOWHERE,
        remedy: str = "",
        severity: Literal["error", "warning"] = "error",
        mistakes: tuple[Mistake, ...] = (),
    ) -> None:
        super().__init__(text)
        self.text = text
        self.origin = origin
        self.remedy = remedy
        self.severity = severity
        self.mistakes = mistakes

    @classmethod
    def of_value(cls, parameter: str, text: str, *, warning: str = "") -> Self:
        """A value that is wrong as a whole."""
        return cls(text, mistakes=(Mistake(warning, parameter=parameter),))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What Postfix logs as warnings before `text`."""
        return tuple([one.text for one in self.mistakes if one.text])


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


class QueueFileReadError(QueueFileError):
    """The message content cannot be read now; that does not mean that it is damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(-2, detail)
