"""The message that warns a user: a template, and what its placeholders become.

    From: Postmaster <postmaster@example.com>
    Subject: Your mailbox is ${percent} % full

    The mailbox of ${recipient} contains ${used}. The limit is ${limit}.

Headers, an empty line, and the text, in UTF-8. Subject is required. The headers that
make it a message are added: Date, To, Message-ID, and what says that a program has sent
it, and how it is encoded.

Source: RFC 5322, RFC 2047, RFC 2045, RFC 3834.
Raises: ValueError for a template that cannot be used, with what is wrong.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

PLACEHOLDERS: Final = ("recipient", "percent", "used", "limit", "messages")

# What programs accept in one line is 998 bytes; values need room, too.
_MOST_LINE_BYTES: Final = 900
_MOST_BYTES: Final = 65_536

_HEADER: Final = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")
# As the templates of bounce(5) may have them.
_BARE: Final = re.compile(rf"\$\(?({'|'.join(PLACEHOLDERS)})\b")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_ADDED: Final = frozenset(
    {
        *("auto-submitted", "date", "delivered-to", "message-id", "mime-version"),
        *("received", "return-path", "to", "x-original-to"),
    }
)

# Words with such characters, and the blanks between them.
_NOT_ASCII: Final = re.compile(r"\S*[^\x00-\x7f]\S*(?:[ \t]+\S*[^\x00-\x7f]\S*)*")
# An encoded word has 75 characters at most, of which 12 are not the text.
_ENCODED_BYTES: Final = 45

BUILT_IN: Final = b"""\
Subject: Your mailbox is ${percent} % full

The mailbox of ${recipient} is ${percent} % full.

It contains ${used}. The limit is ${limit}.
When it is reached, no further mail can be delivered.

Please delete messages that are not needed any more.
"""


class Template(NamedTuple):
    """Headers, with their names, and the text."""

    headers: tuple[tuple[str, str], ...]
    text: str

    @classmethod
    def decode(cls, data: bytes) -> Template:
        """The template of a file."""
        if len(data) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        try:
            whole = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
        if _CONTROL.search(whole):
            raise ValueError("it contains control characters")
        if any(len(line.encode()) > _MOST_LINE_BYTES for line in whole.split("\n")):
            raise ValueError(f"a line has more than {_MOST_LINE_BYTES} bytes")
        for name in _PLACEHOLDER.findall(whole):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"${{{one}}}" for one in PLACEHOLDERS)
                raise ValueError(f"${{{name}}} is unknown; there are {known}")
        if bare := _BARE.search(whole):
            raise ValueError(f"{bare[0]} is not replaced: write ${{{bare[1]}}}")
        head, is_there, text = whole.partition("\n\n")
        if not is_there:
            raise ValueError("there is no empty line after the headers")
        headers = tuple(_headers(head))
        if "subject" not in {name.lower() for name, _ in headers}:
            raise ValueError("there is no Subject")
        return cls(headers, text)

    def message(
        self, values: Mapping[str, str], added: Mapping[str, str], sender: str
    ) -> bytes:
        """The message with these values for the placeholders.

        added     the headers to add, without those about the encoding
        sender    for From, if the template has none
        """
        text = _filled(self.text, values)
        lines = [f"{name}: {value}" for name, value in added.items()]
        if "from" not in {name.lower() for name, _ in self.headers}:
            lines.append(f"From: {sender}")
        for name, value in self.headers:
            encode = _encoded if name.lower() == "subject" else _ascii
            lines.append(f"{name}: {encode(_filled(value, values))}")
        charset, bits = ("us-ascii", 7) if text.isascii() else ("utf-8", 8)
        lines += [
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            f"Content-Type: text/plain; charset={charset}",
            f"Content-Transfer-Encoding: {bits}bit",
            "",
            text if text.endswith("\n") else f"{text}\n",
        ]
        return "\n".join(lines).encode("utf-8", "replace")


def _headers(head: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\n(?=[ \t])", "", head).split("\n"):
        found = _HEADER.fullmatch(line)
        if not found:
            raise ValueError(f'"{line[:60]}" is not a header')
        name, value = found.groups()
        if name.lower() in _ADDED or name.lower().startswith("content-"):
            raise ValueError(f"{name} is added, and must not be there")
        if name.lower() != "subject" and not value.isascii():
            raise ValueError(f"{name} contains characters that are not ASCII")
        yield name, value


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: _shown(values[found[1]]), text)


def _shown(value: str) -> str:
    return _CONTROL.sub("?", value.replace("\n", "?").replace("\t", "?"))


def _ascii(value: str) -> str:
    return value.encode("ascii", "replace").decode()


def _encoded(value: str) -> str:
    """The value of a header that is text, as RFC 2047 has it."""
    return _NOT_ASCII.sub(lambda found: "\n ".join(_encoded_words(found[0])), value)


def _encoded_words(text: str) -> Iterator[str]:
    piece = b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(piece) + len(encoded) > _ENCODED_BYTES:
            yield _encoded_word(piece)
            piece = b""
        piece += encoded
    yield _encoded_word(piece)


def _encoded_word(piece: bytes) -> str:
    return f"=?utf-8?B?{binascii.b2a_base64(piece, newline=False).decode()}?="
