"""Rights that a mode does not show: access control lists, chattr(1), mounts.

As in `boxes`, one request has a recipient for each case.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import (
    REPLY_DEFERRED,
    REPLY_DONE,
    log,
    told,
    where,
)
from tests.harness.file_systems import Mount, ext4, overlay, tmpfs
from tests.harness.installed_postfix import VERSION
from tests.harness.mail_folder import (
    APPEND_ONLY,
    IMMUTABLE,
    Step,
    access,
    acl,
    before_each,
    bound,
    directory,
    file,
    flags,
    maildir,
    mounted_on,
)
from tests.harness.scenario import MBOX, Mail, Scenario, to

Prepare = Callable[[Instance], None]
Cases = Mapping[str, Sequence[Step]]

_ANYBODY = {"strict_mailbox_ownership": "no"}
_ONCE = {"deliver_lock_attempts": "1"}
_TOO_LARGE = (
    "delivery failed to mailbox /ROOT/mail/mbox: error writing message: File too large"
)
_TOLD = (
    "private/bounce: nrequest='0' flags='0' queue_id='3F1A2B4C51' original_recipient=''"
    " recipient='mbox@example.com' offset='179' dsn_orig_rcpt='' notify_flags='0' "
    "status='5.2.2' diag_type='x-unix' diag_text='input/output error' mta_type='' "
    f"mta_mname='' action='failed' reason='{_TOO_LARGE}'"
)
_BIG = b"Subject: big\n\n" + b"x" * 39_000 + b"\n"


def _cases(
    name: str,
    path: str,
    cases: Cases,
    file_system: Mount,
    *,
    messages: int = 2,
    parameters: Mapping[str, str] = MappingProxyType({}),
) -> Scenario:
    """Messages to the mailbox of this path in the folder of each case."""
    mailboxes = {f"{case}@example.com": f"{case}/{path}" for case in cases}
    mail = Mail(recipients=tuple(map(to, mailboxes)), content=b"\n")
    return Scenario(
        name=name,
        mailboxes=mailboxes,
        file_system=file_system,
        prepare=before_each(cases),
        parameters={**_ONCE, **parameters},
        mails=(mail,) * messages,
    )


_BOB, _WHOLE = directory("bob"), maildir("bob")
_TMP, _NEW, _CUR = (directory(f"bob/{part}") for part in ("tmp", "new", "cur"))
_OF_ROOT, _OPEN_OF_ROOT = access("", 0o755, uid=0), access("", 0o777, uid=0)
_GIVES, _GIVES_NO_WRITE = "u:5000:rwx", "u:5000:rx"
_LIST = ("u::rwx", "g::rx", "o::rx")
_CLOSED_LIST = ("u::rwx", "g::", "o::")
_NO_ONE_ELSE = ("u::rw", "g::", "o::")

# The folder itself, for a mailbox that is to be made in it.
_FOLDERS: Cases = {
    "given-to-the-user": (_OF_ROOT, acl("", *_LIST, _GIVES, "m::rwx")),
    "given-but-masked": (_OF_ROOT, acl("", *_LIST, _GIVES, "m::rx")),
    "given-to-the-group": (_OF_ROOT, acl("", *_LIST, "g:5000:rwx", "m::rwx")),
    "taken-from-the-user": (
        _OPEN_OF_ROOT,
        acl("", "u::rwx", "u:5000:", "g::rwx", "m::rwx", "o::rwx"),
    ),
    "taken-from-the-group": (
        _OPEN_OF_ROOT,
        acl("", "u::rwx", "g::rwx", "g:5000:", "m::rwx", "o::rwx"),
    ),
    "handed-down-to-another": (
        acl("", *_CLOSED_LIST, "u:5001:rwx", "m::rwx", default=True),
    ),
    "immutable": (flags("", IMMUTABLE),),
    "append-only": (flags("", APPEND_ONLY),),
}

_MBOXES: Cases = {
    **_FOLDERS,
    "of-another-given-to-the-user": (
        file("mbox", uid=5001),
        acl("mbox", *_NO_ONE_ELSE, "u:5000:rw", "m::rw"),
    ),
    "of-another-given-for-reading": (
        file("mbox", uid=5001),
        acl("mbox", *_NO_ONE_ELSE, "u:5000:r", "m::rw"),
    ),
    "of-another-and-open-but-taken": (
        file("mbox", uid=5001),
        acl("mbox", "u::rw", "u:5000:", "g::rw", "m::rw", "o::rw"),
    ),
    "list-of-its-owner": (
        file("mbox"),
        acl("mbox", "u::rw", "u:5000:", "g::", "m::rw", "o::"),
    ),
    "closed-around": (
        file("mbox"),
        _OPEN_OF_ROOT,
        acl("", "u::rwx", "u:5000:x", "g::", "m::rwx", "o::"),
    ),
    "file-immutable": (file("mbox"), flags("mbox", IMMUTABLE)),
    "file-append-only": (file("mbox"), flags("mbox", APPEND_ONLY)),
    "file-in-an-immutable-folder": (file("mbox"), flags("", IMMUTABLE)),
    "file-in-an-append-only-folder": (file("mbox"), flags("", APPEND_ONLY)),
    "lock-immutable": (
        file("mbox"),
        file("mbox.lock"),
        flags("mbox.lock", IMMUTABLE),
    ),
    "lock-append-only": (
        file("mbox"),
        file("mbox.lock"),
        flags("mbox.lock", APPEND_ONLY),
    ),
}

_MAILDIRS: Cases = {
    **_FOLDERS,
    "of-another-given-to-the-user": (
        maildir("bob", uid=5001),
        *(
            acl(f"bob{part}", *_CLOSED_LIST, _GIVES, "m::rwx")
            for part in ("", "/tmp", "/new", "/cur")
        ),
    ),
    "of-another-given-for-reading": (
        maildir("bob", uid=5001),
        *(
            acl(f"bob{part}", *_CLOSED_LIST, _GIVES_NO_WRITE, "m::rwx")
            for part in ("", "/tmp", "/new", "/cur")
        ),
    ),
    "new-taken": (
        _WHOLE,
        access("bob/new", 0o777, uid=5001),
        acl("bob/new", "u::rwx", "u:5000:x", "g::rwx", "m::rwx", "o::rwx"),
    ),
    "new-for-writing-alone": (
        _WHOLE,
        access("bob/new", 0o700, uid=5001),
        acl("bob/new", *_CLOSED_LIST, "u:5000:wx", "m::rwx"),
    ),
    "tmp-taken": (
        _WHOLE,
        access("bob/tmp", 0o777, uid=5001),
        acl("bob/tmp", "u::rwx", "u:5000:x", "g::rwx", "m::rwx", "o::rwx"),
    ),
    "whole-immutable": (_WHOLE, flags("bob", IMMUTABLE)),
    "whole-append-only": (_WHOLE, flags("bob", APPEND_ONLY)),
    "without-new-and-immutable": (_BOB, _TMP, flags("bob", IMMUTABLE)),
    "without-cur-and-immutable": (_BOB, _TMP, _NEW, flags("bob", IMMUTABLE)),
    "without-new-and-append-only": (_BOB, _TMP, flags("bob", APPEND_ONLY)),
    **{
        f"{part}-{word}": (_WHOLE, flags(f"bob/{part}", flag))
        for part in ("tmp", "new", "cur")
        for word, flag in (("immutable", IMMUTABLE), ("append-only", APPEND_ONLY))
        if (part, word) != ("tmp", "append-only")
    },
}
# The file stays in tmp/, so that virtual(8) delivers once in a second.
_ONCE_IN_TMP: Cases = {
    "tmp-append-only": (_WHOLE, flags("bob/tmp", APPEND_ONLY)),
}

_MOUNTS: Cases = {
    "new-elsewhere": (_WHOLE, mounted_on("bob/new")),
    "tmp-elsewhere": (_WHOLE, mounted_on("bob/tmp")),
    "cur-elsewhere": (_WHOLE, mounted_on("bob/cur")),
    "new-bound": (_WHOLE, directory("x"), bound("bob/new", "x")),
    "tmp-bound": (_WHOLE, directory("x"), bound("bob/tmp", "x")),
    "new-bound-to-itself": (_WHOLE, bound("bob/new", "bob/new")),
    "new-read-only": (_WHOLE, bound("bob/new", "bob/new", read_only=True)),
    "tmp-read-only": (_WHOLE, bound("bob/tmp", "bob/tmp", read_only=True)),
    "whole-bound": (maildir("x"), _BOB, bound("bob", "x")),
    "whole-read-only": (_WHOLE, bound("bob", "bob", read_only=True)),
}

_MOUNTED_FILES: Cases = {
    "bound": (file("x"), file("mbox"), bound("mbox", "x")),
    "bound-to-itself": (file("mbox"), bound("mbox", "mbox")),
    "read-only": (file("mbox"), bound("mbox", "mbox", read_only=True)),
    "lock-read-only": (
        file("mbox"),
        file("mbox.lock"),
        bound("mbox.lock", "mbox.lock", read_only=True),
    ),
    "folder-read-only": (
        directory("x"),
        file("x/mbox"),
        bound("", "x", read_only=True),
    ),
}


def _take_from_the_owner(instance: Instance) -> None:
    """What is made in the mail folder is not for its own owner."""
    acl("", "u::", "g::", "o::", default=True)(instance.mail)


_DENIED = "create maildir file /ROOT/mail/bob/tmp/SECONDS.Ppid.HOST: Permission denied"
_DEFERRED = f"maildir delivery failed: {_DENIED}"
_IN_MBOX = (
    r"    b'From alice@example.org  DATE\n'",
    r"    b'Return-Path: <alice@example.org>\n'",
    r"    b'Delivered-To: mbox@example.com\n'",
    r"    b'Subject: greetings\n'",
    r"    b'From: alice@example.org\n'",
    r"    b'\n'",
    r"    b'Hello.\n'",
    r"    b'\n'",
)
_OPENED_AGAIN = {
    "replies": (REPLY_DONE, REPLY_DONE, REPLY_DEFERRED),
    "mail": (
        "drwxr-xr-x 5000:5000 mail",
        "d--------- 5000:5000 mail/bob",
        "-rw------- 5000:5000 mail/mbox links=1",
        *(_IN_MBOX * 2),
    ),
    "queue": (
        *("3F1A2B4C50 -rwx------", "  179: b'R' -> b'D'"),
        *("3F1A2B4C51 -rwx------", "  179: b'R' -> b'D'"),
        "3F1A2B4C52 -rwx------",
    ),
    "requests": (
        told("defer", "bob@example.com", "4.2.0", _DEFERRED).replace("C50", "C52"),
    ),
    "log": (
        log(
            "3F1A2B4C50: to=<mbox@example.com>, relay=virtual, delay=D, "
            "delays=A/B/C/D, dsn=2.0.0, status=sent (delivered to mailbox)"
        ),
        log(
            "3F1A2B4C51: to=<mbox@example.com>, relay=virtual, delay=D, "
            "delays=A/B/C/D, dsn=2.0.0, status=sent (delivered to mailbox)"
        ),
        log(f"warning: maildir access problem for UID/GID=5000/5000: {_DENIED}"),
        log("warning: perhaps you need to create the maildirs in advance"),
        log(
            "3F1A2B4C52: to=<bob@example.com>, relay=virtual, delay=D, "
            f"delays=A/B/C/D, dsn=4.2.0, status=deferred ({_DEFERRED})"
        ),
    ),
}


_LOWER: Cases = {
    "nothing": (),
    "maildir": (maildir("bob"), file("bob/new/old")),
    "incomplete": (directory("bob"), directory("bob/tmp")),
    "mbox": (file("mbox"),),
}


def _fill_lower(folder: Path) -> None:
    for name, steps in _LOWER.items():
        directory(name, mode=0o755)(folder)
        for step in steps:
            step(folder / name)


def _end_changes(instance: Instance) -> None:
    # With nothing but ro: an overlay refuses to be told its directories again.
    only_ro = ("--options-mode", "ignore", "-o", "remount,ro")
    subprocess.run(["mount", *only_ro, instance.mail], check=True)


def _overlay(name: str, prepare: Prepare | None = None) -> Scenario:
    """Everything is in the directory below, and is copied up when it is changed."""
    paths = ("mbox", "bob/")
    mailboxes = {
        f"{case}-{path[:3]}@example.com": f"{case}/{path}"
        for case in _LOWER
        for path in paths
    }
    mail = Mail(recipients=tuple(map(to, mailboxes)), content=b"\n")
    return Scenario(
        name=name,
        mailboxes=mailboxes,
        file_system=overlay(_fill_lower),
        prepare=prepare,
        parameters=_ONCE,
        mails=(mail, mail),
    )


def _old_append_only_mbox(instance: Instance) -> None:
    file("mbox")(instance.mail)
    flags("mbox", APPEND_ONLY)(instance.mail)


_EXT4, _TMPFS = ext4(4 << 20), tmpfs(size=4 << 20)

SCENARIOS = (
    _cases("rights-mbox", "mbox", _MBOXES, _EXT4, parameters=_ANYBODY),
    _cases("rights-maildir", "bob/", _MAILDIRS, _EXT4),
    _cases("rights-once-in-tmp", "bob/", _ONCE_IN_TMP, _EXT4, messages=1),
    _cases("rights-mounts", "bob/", _MOUNTS, _TMPFS),
    _cases("rights-mounted-files", "mbox", _MOUNTED_FILES, _TMPFS),
    Scenario(
        name="rights-default-takes-from-the-owner",
        file_system=_TMPFS,
        prepare=_take_from_the_owner,
        mails=(Mail(recipients=(MBOX,)), Mail(recipients=(MBOX,)), Mail()),
        **where(VERSION < (3, 10), "Rights of a new mbox file", _OPENED_AGAIN),
    ),
    _overlay("rights-overlay"),
    _overlay("rights-overlay-read-only", _end_changes),
    Scenario(
        name="rights-append-only-mbox-reaches-its-limit",
        file_system=_EXT4,
        prepare=_old_append_only_mbox,
        parameters={"virtual_mailbox_limit": "50000", "message_size_limit": "50000"},
        mails=(Mail(recipients=(MBOX,), content=_BIG),) * 2,
        differs="Failed truncation",
        expected={
            "requests": (_TOLD,),
            "log": (
                log(
                    "3F1A2B4C50: to=<mbox@example.com>, relay=virtual, delay=D, "
                    "delays=A/B/C/D, dsn=2.0.0, status=sent (delivered to mailbox)"
                ),
                log("warning: truncate /ROOT/mail/mbox: Operation not permitted"),
                log(
                    "3F1A2B4C51: to=<mbox@example.com>, relay=virtual, delay=D, "
                    "delays=A/B/C/D, dsn=5.2.2, status=bounced "
                    f"({_TOO_LARGE})"
                ),
            ),
        },
    ),
)
