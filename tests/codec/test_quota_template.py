"""Templates of warnings, and the messages that they become."""

from __future__ import annotations

import email
import email.header
import email.policy
from email.message import EmailMessage

import pytest

from postvirt.codec.quota_template import BUILT_IN, PLACEHOLDERS, Template

_VALUES = {
    "recipient": "bob@example.com",
    "percent": "80",
    "used": "81.0 MB",
    "limit": "100.0 MB",
    "messages": "12",
}
_ADDED = {"Date": "Mon, 30 Nov 2026 05:00:00 +0000", "To": "<bob@example.com>"}
_SENDER = "Mail Delivery System <MAILER-DAEMON@example.com>"


def message(template: bytes, **values: str) -> bytes:
    return Template.decode(template).message(_VALUES | values, _ADDED, _SENDER)


def parsed(data: bytes) -> EmailMessage:
    found = email.message_from_bytes(data, policy=email.policy.default)
    assert not found.defects
    return found


def test_the_built_in_one() -> None:
    found = parsed(message(BUILT_IN))
    assert found["Subject"] == "Your mailbox is 80 % full"
    assert found["From"] == _SENDER
    assert found["To"] == "bob@example.com"
    assert found["Date"] == _ADDED["Date"]
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Content-Type"] == 'text/plain; charset="us-ascii"'
    text = found.get_content()
    assert text.startswith("The mailbox of bob@example.com is 80 % full.\n\n")
    assert "It contains 81.0 MB. The limit is 100.0 MB.\n" in text
    assert "$" not in text


def test_one_of_an_administrator() -> None:
    template = (
        "From: Post <post@example.com>\r\n"
        "Subject: Postfach zu ${percent} % gefüllt,\r\n"
        "  für ${recipient}\r\n"
        "X-Kind: ${limit} ${recipient}\r\n"
        "\r\n"
        "Größe: ${used}, $5\n\n.\nEnde"
    ).encode()
    data = message(template, recipient="büro@example.com")
    assert data.partition(b"\n\n")[0].isascii()
    found = parsed(data)
    assert found["From"] == "Post <post@example.com>"
    assert found["Subject"] == "Postfach zu 80 % gefüllt,  für büro@example.com"
    assert found["X-Kind"] == "100.0 MB b?ro@example.com"
    assert found["Content-Transfer-Encoding"] == "8bit"
    assert found.get_content() == "Größe: 81.0 MB, $5\n\n.\nEnde\n"


def test_a_long_subject_has_lines_that_programs_accept() -> None:
    subject = "äöü " * 60
    data = message(f"Subject: a {subject}\n\n".encode())
    assert max(map(len, data.split(b"\n"))) <= 90
    assert parsed(data)["Subject"].split() == ["a", *subject.split()]


def test_values_cannot_add_headers() -> None:
    data = message(
        b"Subject: ${recipient}\n\n", recipient="a\nBcc: x\r\n\ty\x00\u2028@example.com"
    )
    found = parsed(data)
    assert found["Bcc"] is None
    assert found["Subject"] == "a?Bcc: x???y??@example.com"


def test_surrogates_of_addresses_that_are_no_utf8() -> None:
    data = message(b"Subject: ${recipient}\n\n${recipient}", recipient="a\udcff@b")
    assert b"a?@b" in data


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (b"", "there is no empty line after the headers"),
        (b"Subject: a\n", "there is no empty line after the headers"),
        (b"From: a@b\n\ntext", "there is no Subject"),
        (b"Subject: a\nnonsense\n\n", '"nonsense" is not a header'),
        (b"Subject: a\nDate: now\n\n", "Date is added, and must not be there"),
        (b"Subject: a\ncontent-type: x\n\n", "content-type is added, and must not be"),
        (b"Subject: a\nFrom: \xc3\xa4\n\n", "From contains characters that are not"),
        (b"Subject: $percent %\n\n", r"^\$percent is not replaced: write \$\{perc"),
        (b"Subject: a\n\n$(used)\n", r"^\$\(used is not replaced: write \$\{used\}"),
        (b"Subject: ${size}\n\n", r"\$\{size\} is unknown; there are \$\{recipient\},"),
        (b"Subject: a\n\n\xff", "it is not UTF-8"),
        (b"Subject: a\n\n\x00", "it contains control characters"),
        (b"Subject: a\n\n" + b"x" * 901, "a line has more than 900 bytes"),
        (b"Subject: a\n\n" + b"x\n" * 40_000, "it has more than 65536 bytes"),
    ],
)
def test_what_is_refused(template: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Template.decode(template)


def test_all_placeholders_have_values() -> None:
    assert _VALUES.keys() == set(PLACEHOLDERS)
