"""What is in the mailbox's place already: odd files, closed parents, half a maildir.

Many cases are one request: each has a recipient and a folder with its name. `places`
has the plain cases, one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.comparison.scenarios.expectations import log, sent, told
from tests.harness.mail_folder import (
    NO_DEVICE,
    NULL_DEVICE,
    Step,
    access,
    before_each,
    dead_socket,
    device,
    directory,
    fifo,
    file,
    hard_link,
    maildir,
    symlink,
)
from tests.harness.scenario import Mail, Scenario, to

Cases = Mapping[str, Sequence[Step]]


def _cases(name: str, path: str, cases: Cases, **parameters: str) -> Scenario:
    """A message to the mailbox of this path in the folder of each case."""
    mailboxes = {f"{case}@example.com": f"{case}/{path}" for case in cases}
    return Scenario(
        name=name,
        mailboxes=mailboxes,
        prepare=before_each(cases),
        parameters=parameters,
        mails=(Mail(recipients=tuple(map(to, mailboxes)), content=b"\n"),),
    )


_ANYBODY = {"strict_mailbox_ownership": "no"}
_FCNTL = {"virtual_mailbox_lock": "fcntl"}

_FILES: Cases = {
    "nothing": (),
    "plain": (file("mbox"),),
    "directory": (directory("mbox"),),
    "directory-closed": (directory("mbox", mode=0, uid=0),),
    "socket": (dead_socket("mbox"),),
    "fifo": (fifo("mbox"),),
    "fifo-of-root": (fifo("mbox", uid=0),),
    "fifo-of-another": (fifo("mbox", uid=5001, mode=0o666),),
    "null-device": (device("mbox", NULL_DEVICE),),
    "no-device": (device("mbox", NO_DEVICE),),
    "two-names": (file("mbox"), hard_link("mbox", "a")),
    "three-names": (file("mbox"), hard_link("mbox", "a"), hard_link("mbox", "b")),
    "two-names-of-another": (file("mbox", uid=5001), hard_link("mbox", "a")),
    "of-another": (file("mbox", uid=5001, mode=0o666),),
    "of-another-closed": (file("mbox", uid=5001, mode=0o644),),
    "of-another-in-a-sticky-folder": (
        file("mbox", uid=5001, mode=0o666),
        access("", 0o1777, uid=0),
    ),
    "of-root": (file("mbox", uid=0, mode=0o666),),
    "read-only": (file("mbox", mode=0o400),),
    "write-only": (file("mbox", mode=0o200),),
    "no-rights": (file("mbox", mode=0),),
    "special-bits": (file("mbox", mode=0o6755),),
    "dotlock-is-a-symlink": (file("mbox"), symlink("mbox.lock", "elsewhere")),
    "dotlock-is-a-directory": (file("mbox"), directory("mbox.lock")),
}

# What the group may do counts, if it is the recipient's.
_GROUP: Cases = {
    "mbox": (file("mbox"), access("mbox", 0o660, uid=5001)),
    "mbox-read-only": (file("mbox"), access("mbox", 0o640, uid=5001)),
    "folder": (access("", 0o770, uid=5001),),
    "folder-and-mbox-of-another": (
        file("mbox", uid=5002, mode=0o660),
        access("", 0o770, uid=5001),
    ),
    "others-may-but-not-the-group": (access("", 0o707, uid=5001),),
}

# Only root can write there, so that root's symbolic links are trusted.
_OF_ROOT = access("", 0o755, uid=0)
_ROOTS_LINK = symlink("mbox", "real", uid=0)

_SYMLINKS: Cases = {
    "link": (file("real"), symlink("mbox", "real")),
    "link-of-root": (file("real"), _ROOTS_LINK),
    "link-in-roots-folder": (file("real"), symlink("mbox", "real"), _OF_ROOT),
    "roots-link": (file("real"), _ROOTS_LINK, _OF_ROOT),
    "roots-link-group-folder": (file("real"), _ROOTS_LINK, access("", 0o775, uid=0)),
    "roots-link-open-folder": (file("real"), _ROOTS_LINK, access("", 0o1777, uid=0)),
    "roots-link-to-anothers": (
        file("real", uid=5001, mode=0o666),
        _ROOTS_LINK,
        _OF_ROOT,
    ),
    "roots-link-to-two-names": (
        file("real"),
        hard_link("real", "a"),
        _ROOTS_LINK,
        _OF_ROOT,
    ),
    "roots-link-to-directory": (directory("real"), _ROOTS_LINK, _OF_ROOT),
    "roots-link-to-null-device": (symlink("mbox", "/dev/null", uid=0), _OF_ROOT),
    "roots-link-to-fifo": (fifo("real"), _ROOTS_LINK, _OF_ROOT),
    "roots-link-to-nothing": (_ROOTS_LINK, _OF_ROOT),
    "roots-link-to-a-link": (
        file("file"),
        symlink("real", "file"),
        _ROOTS_LINK,
        _OF_ROOT,
    ),
    "roots-link-to-itself": (symlink("mbox", "mbox", uid=0), _OF_ROOT),
    "link-to-directory": (directory("real"), symlink("mbox", "real")),
    "link-to-fifo": (fifo("real"), symlink("mbox", "real")),
    "link-to-null-device": (symlink("mbox", "/dev/null"),),
    "link-to-itself": (symlink("mbox", "mbox"),),
    "link-to-nothing": (symlink("mbox", "nowhere"),),
}

_PARENTS: Cases = {
    "missing": (),
    "file": (file("x"),),
    "fifo": (fifo("x"),),
    "link": (directory("y"), symlink("x", "y")),
    "link-of-root": (directory("y"), symlink("x", "y", uid=0)),
    "link-to-nothing": (symlink("x", "nowhere"),),
    "link-to-itself": (symlink("x", "x"),),
    "closed": (directory("x", uid=0),),
    "no-rights": (directory("x", mode=0),),
    "not-searchable": (directory("x", mode=0o600),),
    "not-writable": (directory("x", mode=0o500),),
    "not-readable": (directory("x", mode=0o300),),
    "of-another": (directory("x", uid=5001, mode=0o755),),
    "of-another-but-open": (directory("x", uid=5001, mode=0o777),),
    "parents-closed": (directory("x"), access("", 0o700, uid=0)),
    "parents-missing": (_OF_ROOT,),
    "group-handed-down": (directory("x"), access("x", 0o2777, uid=5001)),
}
_MBOX_PARENTS: Cases = {
    **_PARENTS,
    "closed-around-mbox": (
        directory("x"),
        file("x/mbox"),
        access("x", 0o700, uid=0),
    ),
    "searchable-around-mbox": (
        directory("x"),
        file("x/mbox"),
        access("x", 0o711, uid=0),
    ),
}
_MAILDIR_PARENTS: Cases = {
    **_PARENTS,
    "closed-around-maildir": (
        directory("x"),
        maildir("x/bob"),
        access("x", 0o700, uid=0),
    ),
    "searchable-around-maildir": (
        directory("x"),
        maildir("x/bob"),
        access("x", 0o711, uid=0),
    ),
}

_BOB = directory("bob")
_TMP, _NEW, _CUR = (directory(f"bob/{part}") for part in ("tmp", "new", "cur"))
_WHOLE = maildir("bob")
# Another file system on nearly every machine; nothing is left there.
_ELSEWHERE = "/dev/shm"

_MAILDIRS: Cases = {
    "file": (file("bob"),),
    "fifo": (fifo("bob"),),
    "device": (device("bob", NULL_DEVICE),),
    "link": (maildir("x"), symlink("bob", "x")),
    "link-of-root": (maildir("x"), symlink("bob", "x", uid=0)),
    "link-to-file": (file("x"), symlink("bob", "x")),
    "link-to-nothing": (symlink("bob", "nowhere"),),
    "link-to-itself": (symlink("bob", "bob"),),
    "empty": (_BOB,),
    "tmp": (_BOB, _TMP),
    "new": (_BOB, _NEW),
    "cur": (_BOB, _CUR),
    "no-tmp": (_BOB, _NEW, _CUR),
    "no-new": (_BOB, _TMP, _CUR),
    "no-cur": (_BOB, _TMP, _NEW),
    "of-another": (maildir("bob", uid=5001),),
    "of-root": (maildir("bob", uid=0),),
    "closed": (_WHOLE, access("bob", 0o700, uid=0)),
    "searchable": (_WHOLE, access("bob", 0o711, uid=0)),
    "nothing-readable": (
        _WHOLE,
        *(access(f"bob{part}", 0o300) for part in ("/tmp", "/new", "/cur", "")),
    ),
    "no-new-and-not-writable": (_BOB, _TMP, access("bob", 0o500)),
    "no-cur-and-not-writable": (_BOB, _TMP, _NEW, access("bob", 0o500)),
    "tmp-is-new": (_BOB, _NEW, _CUR, symlink("bob/tmp", "new")),
}
_MAILDIRS_OF_OTHERS = {one: _MAILDIRS[one] for one in ("of-another", "of-root")}


def _parts() -> dict[str, tuple[Step, ...]]:
    """Each part of a maildir in every odd state, with the others and without."""
    cases: dict[str, tuple[Step, ...]] = {}
    for part in ("tmp", "new", "cur"):
        path = f"bob/{part}"
        rest = [directory(f"bob/{p}") for p in ("tmp", "new", "cur") if p != part]
        states: Cases = {
            "file": (file(path),),
            "fifo": (fifo(path),),
            "link": (directory("x"), symlink(path, "../x")),
            "link-to-nothing": (symlink(path, "nowhere"),),
            "link-to-itself": (symlink(path, part),),
            "elsewhere": (symlink(path, _ELSEWHERE),),
            "no-rights": (directory(path, mode=0),),
            "not-searchable": (directory(path, mode=0o600),),
            "not-writable": (directory(path, mode=0o500),),
            "not-readable": (directory(path, mode=0o300),),
            "of-root": (directory(path, uid=0),),
            "of-root-sticky": (directory(path, mode=0o1777, uid=0),),
            "of-another-group": (
                directory(path, uid=5001),
                access(path, 0o3777, uid=5001),
            ),
        }
        for state, steps in states.items():
            cases[f"{part}-{state}"] = (_BOB, *rest, *steps)
            if not state.startswith(("not-", "of-")):
                cases[f"{part}-{state}-alone"] = (_BOB, *steps)
    return cases


def _names(name: str, mailboxes: Mapping[str, str], **parameters: str) -> Scenario:
    """Mailboxes that are in each other's way, one after the other.

    In one message they would be delivered to side by side, and who is first is open.
    """
    recipients = [to(f"{one}@example.com") for one in mailboxes]
    return Scenario(
        name=name,
        mailboxes={f"{one}@example.com": path for one, path in mailboxes.items()},
        parameters=parameters,
        mails=tuple(Mail(recipients=(one,)) for one in recipients),
    )


_NO_FILE = "delivery failed to mailbox /ROOT/mail/box: cannot open file: Is a directory"


def _deferred(address: str) -> str:
    return log(
        f"3F1A2B4C50: to=<{address}>, relay=virtual, delay=D, delays=A/B/C/D, "
        f"dsn=4.2.0, status=deferred ({_NO_FILE})"
    )


_SIDE_BY_SIDE = Scenario(
    name="mbox-and-maildir-side-by-side",
    mailboxes={"a@example.com": "box", "b@example.com": "box/", "c@example.com": "box"},
    mails=(Mail(recipients=tuple(to(f"{one}@example.com") for one in "abc")),),
    differs="Recipients side by side",
    expected={
        "mail": (
            "drwxr-xr-x 5000:5000 mail",
            "drwx------ 5000:5000 mail/box",
            "drwx------ 5000:5000 mail/box/cur",
            "drwx------ 5000:5000 mail/box/new",
            "-rw------- 5000:5000 mail/box/new/SECONDS.VdevIinoMusec.HOST links=1",
            r"    b'Return-Path: <alice@example.org>\n'",
            r"    b'Delivered-To: b@example.com\n'",
            r"    b'Subject: greetings\n'",
            r"    b'From: alice@example.org\n'",
            r"    b'\n'",
            r"    b'Hello.\n'",
            "drwx------ 5000:5000 mail/box/tmp",
        ),
        "queue": ("3F1A2B4C50 -rwx------", "  196: b'R' -> b'D'"),
        "requests": (
            told("defer", "a@example.com", "4.2.0", _NO_FILE),
            told("defer", "c@example.com", "4.2.0", _NO_FILE, offset=213),
        ),
        "log": (
            _deferred("a@example.com"),
            sent("3F1A2B4C50").replace("bob@", "b@"),
            _deferred("c@example.com"),
        ),
    },
)

SCENARIOS = (
    _SIDE_BY_SIDE,
    _cases("mboxes-of-every-kind", "mbox", _FILES, deliver_lock_attempts="1"),
    _cases("mboxes-of-every-kind-no-dotlock", "mbox", _FILES, **_FCNTL),
    _cases("mboxes-of-every-kind-not-strict", "mbox", _FILES, **_FCNTL, **_ANYBODY),
    _cases("mboxes-of-a-group", "mbox", _GROUP, virtual_gid_maps="static:5001"),
    _cases("mboxes-of-another-group", "mbox", _GROUP, **_ANYBODY),
    _cases("mbox-symlinks", "mbox", _SYMLINKS),
    _cases("mbox-symlinks-no-dotlock", "mbox", _SYMLINKS, **_FCNTL),
    _cases("mbox-symlinks-not-strict", "mbox", _SYMLINKS, **_FCNTL, **_ANYBODY),
    _cases("mbox-parents", "x/mbox", _MBOX_PARENTS),
    _cases("mbox-parents-no-dotlock", "x/mbox", _MBOX_PARENTS, **_FCNTL),
    _cases("mbox-parents-of-parents", "x/y/mbox", _PARENTS, **_FCNTL),
    _cases("maildir-parents", "x/bob/", _MAILDIR_PARENTS),
    _cases("maildir-parents-of-parents", "x/y/bob/", _PARENTS),
    _cases("maildirs-of-every-kind", "bob/", _MAILDIRS),
    _cases("maildirs-not-strict", "bob/", _MAILDIRS_OF_OTHERS, **_ANYBODY),
    _cases("maildirs-with-odd-parts", "bob/", _parts()),
    _names("maildir-then-mbox", {"a": "box/", "b": "box", "c": "box/"}),
    _names("mbox-then-maildir", {"a": "box", "b": "box/", "c": "box"}),
    _names("maildirs-within-a-maildir", {"a": "a/", "b": "a/new/", "c": "a/tmp/x"}),
    _names(
        "mbox-is-a-dotlock", {"a": "box.lock", "b": "box"}, deliver_lock_attempts="1"
    ),
)
