"""What a value says that is not a path: what may be one is taken for one."""

from __future__ import annotations

import pytest

from postvirt.inspection.mailboxes.misreadings import misreading_of

BOB = b"bob@example.com"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"example.com/bob/ # Bob", "a comment"),
        (b"example.com/bob\t;Bob", "a comment"),
        (b"example.com/bob/\r", "a carriage return"),
        (b" example.com/bob/", "white space at the"),
        (b"example.com/bob/ ", "white space at the"),
        (b"\t", "white space at the"),
        (b"example.com/bob/ 5000 5000", "white space does not end"),
        (b"= example.com/bob/", "the sign"),
        (b"=example.com/bob/", "the sign"),
        (b": example.com/bob/", "the sign"),
        (b"-> example.com/bob/", "the sign"),
        (b"=> example.com/bob/", "the sign"),
        (b"'example.com/bob/'", "the quotes"),
        (b'"example.com/bob/"', "the quotes"),
        (b"%d/%n/", "placeholders"),
        (b"%Ld/%1n/%n", "placeholders"),
        (b"%d/%n@%d", "placeholders"),
        (b"%{domain}/", "placeholders"),
        (b"~bob/Maildir/", "neither ~"),
        (b"${user}/", "neither ~"),
        (b"example.com/$1/", "neither ~"),
        (b"bob@$mydomain", "neither ~"),
        (b"maildir:/var/mail/bob", "Dovecot's"),
        (b"Maildir:~/Maildir", "Dovecot's"),
        (b"mbox:bob", "Dovecot's"),
        (b"virtual:", "a transport"),
        (b"smtp:[mail.example.com]:25", "a transport"),
        (b"lmtp:unix:private/dovecot-lmtp", "a transport"),
        (b"|/usr/bin/procmail", "a command"),
        (b":include:/etc/list", "a command"),
        (b"/dev/null", "/dev/null"),
        ("example.com/bob/\u00a0".encode(), "a no-break space"),
        ("\u200bexample.com/bob/".encode(), "a no-break space"),
        (b"a/,b/", "several"),
        (b"1,1", "several"),
        (b"example.com/a,example.com/b", "several"),
        (b"a@example.com,b@example.com", "several"),
        (b"OK", '"OK" is'),
        (b"true", '"true" is'),
        (b"1234", '"1234" is'),
    ],
)
def test_what_is_no_path(value: bytes, what: str) -> None:
    found = misreading_of(value, BOB)
    assert found is not None
    assert found.what.startswith(what)


@pytest.mark.parametrize(
    "value",
    [
        b"example.com/bob/",
        b"/example.com/bob",
        b"bob",
        BOB,
        b"example.com/#bob/",
        b"example.com/bob smith/",
        b"example.com/b'ob/",
        b'example.com/"bob smith"/',
        b'"bob smith"@example.com',
        b"example.com/50%/bob/",
        b"example.com/b%c3%b6b/",
        b"example.com/%20/",
        b"example.com/bob$/",
        b"example.com/bo~b/",
        b"a:b/",
        b"a,b/",
        b"example.com/a,b/",
        b"a=b/",
        b"dev/null.d/",
        b"okay/",
        b"mbox",
        b"maildir",
        b"\xc3\xb6/",
        b"\xff",
        b"",
    ],
)
def test_what_may_be_a_path(value: bytes) -> None:
    assert misreading_of(value, BOB) is None


def test_users_may_have_names_like_words_and_numbers() -> None:
    assert misreading_of(b"ok", b"ok@example.com") is None
    assert misreading_of(b"1", b"1@example.com") is None
    assert misreading_of(b"1", b"2@example.com") is not None
