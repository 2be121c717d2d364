"""Where a mailbox is: virtual_mailbox_base and what the table has to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import (
    configuration_error_log,
    configuration_errors,
)
from tests.harness.mail_folder import Step, access, before, directory, file, symlink
from tests.harness.raw_tables import write_lmdb
from tests.harness.scenario import BOB, MBOX, Mail, Scenario, to

_BOTH = (Mail(recipients=(BOB, MBOX)),)


def _base(name: str, base: str, *steps: Step, **parameters: str) -> Scenario:
    """A maildir and an mbox file below this base."""
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_base": base, **parameters},
        prepare=before(*steps),
        mails=_BOTH,
    )


_FCNTL = {"virtual_mailbox_lock": "fcntl"}

_BASES = (
    _base("base-with-blanks", "@mail@/a b  c"),
    _base("base-in-utf-8", "@mail@/jörg"),
    _base("base-in-utf-8-without-smtputf8", "@mail@/jörg", smtputf8_enable="no"),
    _base("base-with-dots", "@mail@/x/../y/./z"),
    _base("base-that-ends-in-dots", "@mail@/x/.."),
    _base("base-is-a-file", "@mail@/x", file("x")),
    _base(
        "base-is-a-symlink",
        "@mail@/x",
        directory("y"),
        symlink("x", "y"),
    ),
    _base("base-is-a-dangling-symlink", "@mail@/x", symlink("x", "nowhere")),
    _base("base-of-root", "@mail@", access("", 0o755, uid=0)),
    _base("base-closed", "@mail@", access("", 0o700, uid=0)),
    _base("base-may-be-searched-only", "@mail@", access("", 0o111)),
    _base("base-may-be-read-only", "@mail@", access("", 0o444)),
    _base("base-may-not-be-read", "@mail@", access("", 0o333)),
    _base(
        "base-may-not-be-read-nested",
        "@mail@/x",
        directory("x", mode=0o300),
        **_FCNTL,
    ),
    _base("base-not-makeable", "@mail@/x/y", access("", 0o755, uid=0)),
    Scenario(
        name="base-is-the-root-directory",
        parameters={"virtual_mailbox_base": "/"},
        mailboxes={"bob@example.com": "@mail@/bob/", "mbox@example.com": "@mail@/mbox"},
        mails=_BOTH,
    ),
)


def _results(values: Sequence[bytes]) -> Callable[[Instance], None]:
    """A table with a value for each of n0, n1 and so on."""

    def prepare(instance: Instance) -> None:
        entries = {
            b"n%d@example.com" % number: value for number, value in enumerate(values)
        }
        write_lmdb(instance.etc / "paths", entries)

    return prepare


def _paths(name: str, values: Sequence[bytes], **parameters: str) -> Scenario:
    """A recipient for each result of virtual_mailbox_maps."""
    recipients = tuple(to(b"n%d@example.com" % number) for number in range(len(values)))
    return Scenario(
        name=name,
        prepare=_results(values),
        parameters={"virtual_mailbox_maps": "lmdb:@etc@/paths", **parameters},
        mails=(Mail(recipients=recipients, content=b""),),
    )


def _in_turn(scenario: Scenario) -> Scenario:
    """A message for each recipient.

    Here one finds what the delivery to another has made, and those to the recipients of
    one message go side by side.
    """
    (mail,) = scenario.mails
    mails = tuple(replace(mail, recipients=(one,)) for one in mail.recipients)
    return replace(scenario, mails=mails)


def _each(*forms: bytes) -> tuple[bytes, ...]:
    """Each as a maildir and as an mbox file beside it."""
    return tuple(one for form in forms for one in (form + b"/", form + b".mbox"))


_PLAIN = (
    *_each(b"/absolute", b"//absolute2", b"/a/b", b"a//b", b"a/./c", b"./d", b"a///e"),
    *_each(b"...", b"..a", b"a..", b"a../b", b"a/..b", b"a/...", b"~"),
    *_each(
        b"-rf", b"*", b"%s%n", b"$HOME", b"a\\b", b'"q"', b"'q'", b"a:b", b"#", b"a,b"
    ),
    *_each(
        b"c/   # c", b"= e", b"mbox:f", b"|/bin/g", b"/dev/null", b"%{h}", b"i@j.org"
    ),
)
_SPECIAL = (
    *_each(
        b" lead", b"trail ", b"in  side", b" ", b"tab\tx", b"new\nline", b"\r", b"\x01"
    ),
    *_each(b"\x1b[31m", b"\x7f", "jörg/İı".encode(), "\U0001f4e7".encode()),
)
# A longer line of the log would be cut, at a place that depends on the delays.
_LONG = (
    *_each(b"n" * 200, b"d" * 100 + b"/" + b"e" * 100 + b"/" + b"f" * 60),
    *(b"m" * 255 + b"/", b"m" * 255, b"m" * 256 + b"/", b"m" * 256, b"m" * 250),
    *(b"m" * 251, b"/".join([b"x" * 50] * 6), b"/".join([b"x" * 50] * 6) + b"/"),
)
# None of these goes on behind the dots.
_DIRECTORIES = (
    b"/",
    b"//",
    b".",
    b"./",
    b"..",
    b"a/..",
    b"/..",
    b"/.",
    b"a/.",
    b"a/./",
)
# virtual(8) follows them: none may lead out of the instance.
_CLIMBING = (
    *(
        b"../",
        b"../x/",
        b"../x",
        b"/../x/",
        b"a/../b/",
        b"a/../b",
        b"a/../",
        b"a/b/../../c",
    ),
    *(b"a/..//b", b"./../x/", b"a/../../x/", b"a//../b", b".../../x/"),
)


def _climbing(name: str, base: str) -> Scenario:
    plain = _paths(name, _CLIMBING, virtual_mailbox_base=base)
    return replace(
        plain,
        differs="Paths that climb",
        expected=configuration_errors(
            plain.mails[0],
            [
                f"recipient n{number}@example.com: bad mailbox path {path.decode()} in "
                "virtual_mailbox_maps"
                for number, path in enumerate(_CLIMBING)
            ],
        ),
    )


_NOT_UTF8 = (
    'lmdb:/ROOT/etc/paths: key "n0@example.com": non-UTF-8 value "?/":'
    " malformed UTF-8 or invalid codepoint"
)

_RESULTS = (
    _paths("results-plain", _PLAIN),
    _paths("results-special", _SPECIAL),
    _paths(
        "results-without-smtputf8",
        _each(b"\xfc", b"a\xff\xfe", "jörg/İı".encode(), b"\x7f"),
        smtputf8_enable="no",
    ),
    _in_turn(_paths("results-long", _LONG)),
    _in_turn(_paths("results-long-no-dotlock", _LONG, **_FCNTL)),
    _in_turn(_paths("results-of-directories", _DIRECTORIES)),
    _in_turn(_paths("results-of-directories-no-dotlock", _DIRECTORIES, **_FCNTL)),
    _climbing("results-that-climb", "@mail@"),
    _climbing("results-that-climb-from-base-with-slash", "@mail@/"),
    replace(
        _paths("result-not-utf-8", (b"\xfc/",)),
        differs="Reason of a failed lookup",
        expected={
            "log": configuration_error_log(
                _NOT_UTF8,
                'lmdb:/ROOT/etc/paths lookup error for "n0@example.com"',
                f"table virtual_mailbox_maps: lookup n0@example.com: {_NOT_UTF8}",
                address="n0@example.com",
            )
        },
    ),
)

SCENARIOS = (*_BASES, *_RESULTS)
