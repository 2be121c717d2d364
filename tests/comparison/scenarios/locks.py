"""Locks of mbox files: every combination, held by others, stale, in hostile places."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import QueueFile
from tests.harness.file_systems import ext4
from tests.harness.lock_holders import HOLDS, WhenItWaits, hold_all
from tests.harness.scenario import MBOX, Closable, Mail, Scenario, to

_OLD = b"From old@example.org  Thu Jan  1 00:00:00 1970\n\nOld.\n\n"

# Each lock that somebody else may hold, and a mailbox of its own for it.
_KERNEL_LOCKS = ("fcntl", "fcntl-shared", "fcntl-part", "flock", "flock-shared")
_STATES = ("free", "new", "dot", *_KERNEL_LOCKS)


def _mailboxes(names: tuple[str, ...]) -> Mapping[str, str]:
    return {f"{name}@example.com": name for name in names}


def _recipients(names: tuple[str, ...]) -> tuple[Recipient, ...]:
    return tuple(to(f"{name}@example.com") for name in names)


def _file(instance: Instance, name: str, content: bytes = _OLD) -> Path:
    path = instance.mail / name
    path.write_bytes(content)
    path.chmod(0o600)
    instance.recipient_owner.give(path)
    return path


def _prepare_states(instance: Instance) -> None:
    for name in _STATES:
        if name != "new":
            _file(instance, name)
    _file(instance, "dot.lock", b"")


def _hold_states(instance: Instance, queued: QueueFile) -> Closable:
    return hold_all({instance.mail / name: name for name in _KERNEL_LOCKS})


def _dashed(styles: str) -> str:
    return styles.replace(", ", "-").strip(",") or "none"


def _combination(styles: str) -> Scenario:
    """One recipient for each lock that is taken already, and one attempt."""
    return Scenario(
        name=f"locks-taken-{_dashed(styles)}",
        parameters={"virtual_mailbox_lock": styles, "deliver_lock_attempts": "1"},
        mailboxes=_mailboxes(_STATES),
        prepare=_prepare_states,
        mails=(Mail(recipients=_recipients(_STATES), before=_hold_states),),
    )


_STYLES = (
    ",",  # no lock at all; an empty value is an error
    "dotlock",
    "fcntl",
    "flock",
    "fcntl, dotlock",
    "flock, dotlock",
    "flock, fcntl",
    "dotlock, fcntl, flock",
)

_COMBINATIONS = tuple(map(_combination, _STYLES))

_VALUES = (
    Scenario(
        name="lock-words-in-any-form",
        parameters={"virtual_mailbox_lock": "\tfcntl,,dotlock , fcntl"},
        mails=(Mail(recipients=(MBOX,)),),
    ),
    Scenario(
        name="lock-in-capitals", parameters={"virtual_mailbox_lock": "fcntl Dotlock"}
    ),
    Scenario(
        name="lock-words-of-blanks-and-commas",
        parameters={"virtual_mailbox_lock": " , "},
        mails=(Mail(recipients=(MBOX,)),),
    ),
    Scenario(name="lock-attempts-negative", parameters={"deliver_lock_attempts": "-1"}),
    Scenario(name="lock-delay-zero", parameters={"deliver_lock_delay": "0"}),
    Scenario(name="lock-stale-time-zero", parameters={"stale_lock_time": "0"}),
    Scenario(
        name="lock-patience-of-the-transport",
        options=("-o", "deliver_lock_attempts=1", "-o", "virtual_mailbox_lock=dotlock"),
        mailboxes=_mailboxes(_STATES),
        prepare=_prepare_states,
        mails=(Mail(recipients=_recipients(("dot", "fcntl", "free"))),),
    ),
)

_TWO_ATTEMPTS = {
    "virtual_mailbox_lock": "fcntl, flock, dotlock",
    "deliver_lock_attempts": "2",
    "deliver_lock_delay": "1",
}


# What happens while the agent waits for the lock of the mbox file.
_Event = Callable[[Path], object]


def _meanwhile(name: str, hold: str, event: _Event) -> Mail:
    """A mailbox whose lock is held until the agent waits for it and something else
    has happened to it."""

    def before(instance: Instance, queued: QueueFile) -> Closable:
        path = instance.mail / name
        held = HOLDS[hold](path)

        def act() -> None:
            event(path)
            held.close()

        return WhenItWaits(queued, act)

    return Mail(recipients=_recipients((name,)), before=before)


def _release_dot_lock(instance: Instance, queued: QueueFile) -> Closable:
    return WhenItWaits(queued, (instance.mail / "dot.lock").unlink)


def _replace(path: Path) -> None:
    new = path.with_name("replacement")
    new.write_bytes(b"new\n")
    os.chown(new, 5000, 5000)
    new.rename(path)


def _add_a_name(path: Path) -> None:
    os.link(path, path.with_name("second name"))


def _give_away(path: Path) -> None:
    os.chown(path, 5001, 5001)


def _cut(path: Path) -> None:
    os.truncate(path, 0)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"From a reader\n\nMeanwhile.\n\n")


_PATIENT = {
    "virtual_mailbox_lock": "fcntl, flock, dotlock",
    "deliver_lock_attempts": "20",
    "deliver_lock_delay": "1",
}

_WAITING = (
    Scenario(
        name="locks-held-to-the-end",
        parameters=_TWO_ATTEMPTS,
        mailboxes=_mailboxes(_STATES),
        prepare=_prepare_states,
        mails=(Mail(recipients=_recipients(("fcntl", "flock")), before=_hold_states),),
    ),
    Scenario(
        name="lock-released-while-waiting",
        parameters=_PATIENT,
        mailboxes=_mailboxes(_STATES),
        prepare=_prepare_states,
        mails=(
            Mail(recipients=_recipients(("dot",)), before=_release_dot_lock),
            _meanwhile("fcntl", "fcntl", _append),
            _meanwhile("flock-shared", "flock-shared", _cut),
        ),
    ),
    Scenario(
        name="mbox-changed-while-waiting",
        parameters=_PATIENT,
        mailboxes=_mailboxes(_STATES),
        prepare=_prepare_states,
        mails=(
            _meanwhile("free", "fcntl", os.unlink),
            _meanwhile("flock", "flock", _replace),
            _meanwhile("fcntl", "fcntl", _add_a_name),
            _meanwhile("flock-shared", "flock", _give_away),
        ),
    ),
)

_LONG_AGO = 'ctime "20200101000000"'


def _old_lock(name: str, uid: int = 5000) -> tuple[str, ...]:
    """Make a dot lock whose change time is long ago, which no system call can."""
    return (f"write /dev/null {name}", *_old(name, uid))


def _old(name: str, uid: int = 5000) -> tuple[str, ...]:
    return (
        f"set_inode_field {name} uid {uid}",
        f"set_inode_field {name} {_LONG_AGO}",
    )


_STALE = ext4(
    1 << 20,
    (
        *_old_lock("stale.lock"),
        *_old_lock("of-root.lock", uid=0),
        *_old_lock("fcntl.lock"),
        "symlink link.lock stale-target",
        *_old_lock("stale-target"),
        "symlink dangling.lock nowhere",
        *_old("dangling.lock"),
        "mkdir directory.lock",
        *_old("directory.lock"),
        "mkdir closed",
        *_old_lock("closed/mbox.lock"),
        "mkdir sticky",
        "set_inode_field sticky mode 041777",
        *_old_lock("sticky/mbox.lock", uid=5001),
        *_old_lock("fixed.lock"),
        "set_inode_field fixed.lock flags 0x80010",
    ),
)


def _stale(
    name: str,
    mailboxes: tuple[str, ...],
    styles: str = "fcntl, dotlock",
    attempts: int = 2,
) -> Scenario:
    """Dot locks whose owners are dead, one after the other."""
    return Scenario(
        name=name,
        parameters={
            "virtual_mailbox_lock": styles,
            "deliver_lock_attempts": f"{attempts}",
            "deliver_lock_delay": "1",
        },
        mailboxes=_mailboxes(mailboxes),
        file_system=_STALE,
        mails=(Mail(recipients=_recipients(mailboxes)),),
    )


_OLD_LOCKS = ("stale", "directory", "closed/mbox", "sticky/mbox", "fixed")


def _stale_and_held(instance: Instance, queued: QueueFile) -> Closable:
    return hold_all({_file(instance, "fcntl"): "fcntl"})


_STALE_LOCKS = (
    # One that can be removed and four that cannot, whatever else is locked.
    *(_stale(f"stale-locks-{_dashed(one)}", _OLD_LOCKS, one) for one in _STYLES),
    # In the end one is a link to nowhere, which is as old as nothing can tell.
    _stale("stale-locks-of-others", ("of-root", "link", "dangling")),
    _stale("stale-lock-and-one-attempt", ("stale", "closed/mbox"), attempts=1),
    Scenario(
        name="stale-lock-and-fcntl-held",
        parameters=_TWO_ATTEMPTS,
        mailboxes=_mailboxes(("fcntl",)),
        file_system=_STALE,
        mails=(Mail(recipients=_recipients(("fcntl",)), before=_stale_and_held),),
    ),
)


def _prepare_places(instance: Instance) -> None:
    """Free dot locks beside things that are no regular files or cannot be reached."""
    os.mkfifo(instance.mail / "fifo")
    (instance.mail / "directory").mkdir()
    (instance.mail / "dangling").symlink_to("nowhere")
    (instance.mail / "circle").symlink_to("circle")
    (instance.mail / "to-fifo").symlink_to("fifo")
    _file(instance, "file")
    for name in ("fifo", "directory", "dangling", "circle", "to-fifo"):
        os.chown(instance.mail / name, 5000, 5000, follow_symlinks=False)
    closed = instance.mail / "closed"
    closed.mkdir()
    _file(instance, "closed/mbox")
    secret = instance.mail / "secret"
    secret.mkdir()
    secret.chmod(0o700)
    long_name = instance.mail / "longest"
    long_name.mkdir()
    _file(instance, f"longest/{_LONGEST}")
    instance.recipient_owner.give(long_name)


# A name that is as long as a name may be, so that there is none for a dot lock.
_LONGEST = "x" * 255
_PLACES = (
    "fifo",
    "directory",
    "dangling",
    "circle",
    "to-fifo",
    "file/mbox",
    "missing/mbox",
    "closed/mbox",
    "secret/mbox",
    f"longest/{_LONGEST}",
)


def _places(name: str, styles: str) -> Scenario:
    # By number, as a local part has its limits, too.
    addresses = {f"{n}@example.com": place for n, place in enumerate(_PLACES)}
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_lock": styles},
        mailboxes=addresses,
        prepare=_prepare_places,
        mails=(Mail(recipients=tuple(map(to, addresses))),),
    )


_LOCK_PLACES = (
    _places("dot-lock-in-every-place", "dotlock"),
    _places("kernel-locks-in-every-place", "flock, fcntl"),
)

SCENARIOS = (*_COMBINATIONS, *_VALUES, *_WAITING, *_STALE_LOCKS, *_LOCK_PLACES)
