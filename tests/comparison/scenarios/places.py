"""Where mailboxes are: what is there already, whose it is, and locks."""

from __future__ import annotations

import os
from collections.abc import Callable

from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import NO_REPLY, configuration_error
from tests.harness.scenario import BOB, CONTENT, MBOX, Mail, Scenario

Prepare = Callable[[Instance], None]

_OLD = b"From old@example.org  Thu Jan  1 00:00:00 1970\n\nOld.\n\n"


def _own(instance: Instance, name: str, mode: int = 0o600) -> None:
    path = instance.mail / name
    path.chmod(mode)
    instance.recipient_owner.give(path)


def _file(
    name: str, content: bytes = _OLD, mode: int = 0o600, uid: int = 5000
) -> Prepare:
    def prepare(instance: Instance) -> None:
        path = instance.mail / name
        path.write_bytes(content)
        path.chmod(mode)
        os.chown(path, uid, 5000)

    return prepare


def _directory(name: str, mode: int = 0o700, uid: int = 5000) -> Prepare:
    def prepare(instance: Instance) -> None:
        path = instance.mail / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, uid, uid)

    return prepare


def _together(*steps: Prepare) -> Prepare:
    def prepare(instance: Instance) -> None:
        for step in steps:
            step(instance)

    return prepare


def _symlink(name: str, target: str, uid: int = 5000) -> Prepare:
    def prepare(instance: Instance) -> None:
        path = instance.mail / name
        path.symlink_to(target)
        os.chown(path, uid, uid, follow_symlinks=False)

    return prepare


def _hard_link(instance: Instance) -> None:
    os.link(instance.mail / "mbox", instance.mail / "another")


def _fifo(instance: Instance) -> None:
    os.mkfifo(instance.mail / "mbox")
    _own(instance, "mbox")


def _mbox(name: str, prepare: Prepare | None = None, **parameters: str) -> Scenario:
    """One message to an mbox file."""
    return Scenario(
        name=name,
        prepare=prepare,
        parameters=parameters,
        mails=(Mail(recipients=(MBOX,)),),
    )


def _maildir(name: str, prepare: Prepare | None = None, **parameters: str) -> Scenario:
    """One message to a maildir."""
    return Scenario(name=name, prepare=prepare, parameters=parameters)


def _deep(name: str, result: str, prepare: Prepare, **parameters: str) -> Scenario:
    """One message to a mailbox of this path."""
    return Scenario(
        name=name,
        mailboxes={"bob@example.com": result},
        prepare=prepare,
        parameters=parameters,
    )


_BASES = (
    _maildir("base-with-slash", virtual_mailbox_base="@mail@/"),
    _maildir("base-with-slashes", virtual_mailbox_base="@mail@//"),
    Scenario(
        name="base-relative",
        parameters={"virtual_mailbox_base": "../mail"},
        differs="Mistakes found at start-up",
        expected={
            "replies": (NO_REPLY,),
            "processes": ("reports nothing; exit 1",),
        },
    ),
    _maildir("base-missing", virtual_mailbox_base="@mail@/not/yet"),
    _maildir("base-from-macro", virtual_mailbox_base="$my_base/sub", my_base="@mail@"),
    _maildir("base-empty", virtual_mailbox_base=""),
)

_NO_DOTLOCK = {"virtual_mailbox_lock": "fcntl"}

_MBOXES = (
    _mbox("mbox-exists", _file("mbox")),
    _mbox("mbox-exists-empty", _file("mbox", b"")),
    _mbox("mbox-of-another-mode", _file("mbox", mode=0o660)),
    _mbox("mbox-is-a-directory", _directory("mbox")),
    _mbox("mbox-is-a-directory-of-root", _directory("mbox", uid=0)),
    _mbox("mbox-is-a-symlink", _together(_file("real"), _symlink("mbox", "real"))),
    _mbox(
        "mbox-is-a-symlink-of-root",
        _together(_file("real"), _symlink("mbox", "real", uid=0)),
    ),
    _mbox("mbox-is-a-dangling-symlink", _symlink("mbox", "nowhere")),
    _mbox("mbox-is-hard-linked", _together(_file("mbox"), _hard_link)),
    _mbox("mbox-is-a-fifo", _fifo),
    _mbox("mbox-of-another-owner", _file("mbox", uid=5001, mode=0o666)),
    _mbox(
        "mbox-of-another-owner-permitted",
        _file("mbox", uid=5001, mode=0o666),
        strict_mailbox_ownership="no",
    ),
    _mbox("mbox-of-root", _file("mbox", uid=0, mode=0o666)),
    _mbox("mbox-read-only", _file("mbox", mode=0o400)),
    _mbox("mbox-without-permission", _file("mbox", uid=5001, mode=0o600)),
    _mbox(
        "mbox-folder-not-writable",
        lambda instance: os.chown(instance.mail, 0, 0),
    ),
    _mbox(
        "mbox-folder-not-writable-no-dotlock",
        lambda instance: os.chown(instance.mail, 0, 0),
        **_NO_DOTLOCK,
    ),
    _mbox(
        "mbox-exists-folder-not-writable",
        _together(_file("mbox"), lambda instance: os.chown(instance.mail, 0, 0)),
    ),
    _deep(
        "mbox-parents-missing-no-dotlock",
        "example.com/b/bob",
        lambda instance: None,
        **_NO_DOTLOCK,
    ),
    _deep(
        "mbox-parent-is-a-file",
        "example.com/bob",
        _file("example.com"),
        **_NO_DOTLOCK,
    ),
    _deep(
        "mbox-parent-not-writable",
        "example.com/bob",
        _directory("example.com", uid=0, mode=0o755),
        **_NO_DOTLOCK,
    ),
    _deep(
        "mbox-in-a-directory-that-is-a-symlink",
        "link/bob",
        _together(_directory("real"), _symlink("link", "real")),
    ),
)

_MAILDIRS = (
    _maildir("maildir-exists-empty", _directory("bob")),
    _maildir(
        "maildir-without-tmp",
        _together(_directory("bob"), _directory("bob/new"), _directory("bob/cur")),
    ),
    _maildir(
        "maildir-without-new",
        _together(_directory("bob"), _directory("bob/tmp"), _directory("bob/cur")),
    ),
    _maildir(
        "maildir-without-cur",
        _together(_directory("bob"), _directory("bob/tmp"), _directory("bob/new")),
    ),
    _maildir("maildir-is-a-file", _file("bob")),
    _maildir("maildir-is-a-symlink", _together(_directory("x"), _symlink("bob", "x"))),
    _maildir("maildir-tmp-is-a-file", _together(_directory("bob"), _file("bob/tmp"))),
    _maildir(
        "maildir-new-is-a-file",
        _together(_directory("bob"), _directory("bob/tmp"), _file("bob/new")),
    ),
    _maildir("maildir-not-writable", _directory("bob", uid=0, mode=0o755)),
    _maildir("maildir-not-searchable", _directory("bob", uid=0, mode=0o700)),
    _maildir(
        "maildir-tmp-not-writable",
        _together(_directory("bob"), _directory("bob/tmp", uid=0, mode=0o755)),
    ),
    _maildir(
        "maildir-new-not-writable",
        _together(
            _directory("bob"),
            _directory("bob/tmp"),
            _directory("bob/new", uid=0, mode=0o755),
        ),
    ),
    _maildir(
        "maildir-of-another-owner-but-writable",
        _together(
            _directory("bob", uid=5001, mode=0o777),
            _directory("bob/tmp", uid=5001, mode=0o777),
            _directory("bob/new", uid=5001, mode=0o777),
            _directory("bob/cur", uid=5001, mode=0o777),
        ),
    ),
    _maildir(
        "maildir-folder-not-writable", lambda instance: os.chown(instance.mail, 0, 0)
    ),
    _deep("maildir-parent-is-a-file", "example.com/bob/", _file("example.com")),
    _deep(
        "maildir-parents-not-writable",
        "example.com/b/bob/",
        _directory("example.com", uid=0, mode=0o755),
    ),
)


def _dot_lock(uid: int = 5000) -> Prepare:
    """A lock file; Postfix goes by its change time, so it cannot be made older."""

    def prepare(instance: Instance) -> None:
        path = instance.mail / "mbox.lock"
        path.touch()
        os.chown(path, uid, uid)

    return prepare


_IMPATIENT = {"deliver_lock_attempts": "2", "deliver_lock_delay": "1"}

_LOCKS = (
    _mbox("lock-dotlock", virtual_mailbox_lock="dotlock"),
    _mbox("lock-fcntl", virtual_mailbox_lock="fcntl"),
    _mbox("lock-flock", virtual_mailbox_lock="flock"),
    _mbox("lock-all", virtual_mailbox_lock="flock, fcntl, dotlock"),
    _mbox("lock-unknown", virtual_mailbox_lock="telepathy"),
    _mbox("lock-none", virtual_mailbox_lock=""),
    _mbox("lock-held", _dot_lock(), **_IMPATIENT),
    _mbox("lock-held-not-ours", _dot_lock(uid=0), **_IMPATIENT),
    _mbox("lock-stale", _dot_lock(), stale_lock_time="1s"),
    _mbox(
        "lock-held-but-not-asked-for",
        _dot_lock(),
        virtual_mailbox_lock="fcntl",
        **_IMPATIENT,
    ),
)

_BIG = b"Subject: big\n\n" + b"x" * 39_000 + b"\n"
_LIMITS = {"message_size_limit": "50000", "virtual_mailbox_limit": "50000"}


def _limit(name: str, prepare: Prepare | None = None, **parameters: str) -> Scenario:
    """A message of 39,000 bytes and a small one, to a maildir and to an mbox file."""
    return Scenario(
        name=name,
        prepare=prepare,
        parameters=parameters,
        mails=(
            Mail(content=_BIG, recipients=(BOB, MBOX)),
            Mail(content=CONTENT, recipients=(BOB, MBOX)),
            Mail(content=_BIG, recipients=(BOB, MBOX)),
        ),
    )


_SIZES = (
    _limit("limit-reached", None, **_LIMITS),
    _limit("limit-reached-by-old-mail", _file("mbox", _OLD * 300), **_LIMITS),
    _limit("limit-off", message_size_limit="0", virtual_mailbox_limit="0"),
    _limit("limit-exceeded-by-old-mail", _file("mbox", _OLD * 1200), **_LIMITS),
    _mbox("limit-below-message-limit", virtual_mailbox_limit="1000"),
    _mbox("limit-but-messages-unlimited", message_size_limit="0"),
    Scenario(
        name="limit-below-queue-file",
        parameters={"message_size_limit": "200", "virtual_mailbox_limit": "200"},
        differs="Queue files above the limit",
        expected={
            **configuration_error(
                "virtual_mailbox_limit 200 < queue file size 257:"
                " the message stays queued"
            ),
            "processes": ("reports 0 1; exit 0",),
        },
    ),
    _mbox("limit-negative", virtual_mailbox_limit="-1"),
    _mbox("limit-is-no-number", virtual_mailbox_limit="much"),
)

SCENARIOS = (*_BASES, *_MBOXES, *_MAILDIRS, *_LOCKS, *_SIZES)
