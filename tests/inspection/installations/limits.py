"""Files that are too large, and locks that do not suit."""

from __future__ import annotations

from pathlib import Path

from tests.harness.installations import Broken, Installation, Sound

ROOT = (0, 0)
MBOX = "mbox@example.com"


def above_the_default(it: Installation) -> None:
    it.mbox("mbox", size=51_200_001)


def above_the_limit(it: Installation) -> None:
    it.set(virtual_mailbox_limit="20000000")
    it.mbox("mbox", size=30_000_000)


def limit_below_messages(it: Installation) -> None:
    it.set(virtual_mailbox_limit="1000000")


def unlimited_messages(it: Installation) -> None:
    it.set(message_size_limit="0")


def dot_lock_in_a_directory_of_root(it: Installation) -> None:
    it.mailboxes({MBOX: "boxes/mbox"})
    it.directory("boxes", owner=ROOT)
    it.mbox("boxes/mbox")


def dot_lock_of_several_owners(it: Installation) -> None:
    """As in /var/mail: the mail group may write there, and nobody else."""
    it.mailboxes({MBOX: "boxes/mbox", "ann@example.com": "boxes/ann"})
    uids = it.table("uids", {MBOX: "5000", "ann@example.com": "5001"})
    it.set(virtual_uid_maps=uids)
    it.directory("boxes", owner=(0, 8), mode=0o775)
    it.mbox("boxes/mbox")
    it.mbox("boxes/ann", owner=(5001, 5000))


def _dovecot(it: Installation, text: str) -> Path:
    path = it.dovecot
    path.write_text(text)
    (it.etc / "conf.d").mkdir(exist_ok=True)
    for one in (path, it.etc / "conf.d"):
        one.chmod(0o755)
    return path


def only_flock(it: Installation) -> None:
    it.set(virtual_mailbox_lock="flock")
    _dovecot(it, "mail_location = mbox:~/mail\nmbox_write_locks = dotlock fcntl\n")


def only_flock_in_an_included_file(it: Installation) -> None:
    it.set(virtual_mailbox_lock="flock")
    _dovecot(it, "protocol imap {\n  x = y\n}\n!include conf.d/*.conf\n")
    (it.etc / "conf.d/10-mail.conf").write_text(
        "# mbox_write_locks = flock\nmbox_write_locks = fcntl # ours\n"
    )


def another_order(it: Installation) -> None:
    _dovecot(it, "mbox_write_locks = fcntl dotlock\n")


BROKEN = (
    Broken(
        "an mbox above the default limit",
        "PV402",
        above_the_default,
        says=["virtual_mailbox_limit = 51200000 (the default)", "51200001 bytes"],
        needs="postfix",
    ),
    Broken(
        "an mbox above the limit",
        "PV402",
        above_the_limit,
        lambda it: it.set(virtual_mailbox_limit="40000000"),
        says=["virtual_mailbox_limit = 20000000: 1 mbox file"],
    ),
    Broken(
        "a limit below that of messages",
        "PV002",
        limit_below_messages,
        lambda it: it.set(virtual_mailbox_limit="10240000"),
        says=["virtual_mailbox_limit is smaller than message_size_limit", "or 0"],
    ),
    Broken(
        "a limit and none for messages",
        "PV002",
        unlimited_messages,
        lambda it: it.set(virtual_mailbox_limit="0"),
        says=["message_size_limit is unlimited"],
    ),
    Broken(
        "a dot lock in a directory of root",
        "PV411",
        dot_lock_in_a_directory_of_root,
        says=["{root}/mail/boxes (owner root:root, mode 0755)", "dot lock"],
    ),
    Broken(
        "dot locks of several owners",
        "PV411",
        dot_lock_of_several_owners,
        lambda it: it.set(virtual_mailbox_lock="fcntl"),
        says=["remove dotlock from virtual_mailbox_lock"],
    ),
    Broken(
        "dot locks of several owners and a sticky directory",
        "PV411",
        dot_lock_of_several_owners,
        lambda it: (it.mail / "boxes").chmod(0o1777),
    ),
    Broken(
        "no lock in common with Dovecot",
        "PV412",
        only_flock,
        says=["mbox_write_locks = dotlock fcntl".split(" = ")[1], "line 2"],
        needs="postfix",
    ),
    Broken(
        "no lock in common with an included file",
        "PV412",
        only_flock_in_an_included_file,
        says=["10-mail.conf, line 2", "virtual_mailbox_lock = fcntl"],
        needs="postfix",
    ),
    Broken(
        "locks in another order than Dovecot",
        "PV413",
        another_order,
        lambda it: _dovecot(it, "mbox_write_locks = dotlock fcntl\n"),
        severity="info",
        says=["set mbox_write_locks = dotlock fcntl"],
    ),
)


def unlimited(it: Installation) -> None:
    it.set(virtual_mailbox_limit="0")
    it.mbox("mbox", size=60_000_000)


def the_locks_of_dovecot(it: Installation) -> None:
    _dovecot(it, "mbox_write_locks = dotlock fcntl\n")


def dovecot_with_maildirs(it: Installation) -> None:
    it.set(virtual_mailbox_lock="flock")
    _dovecot(it, "mail_location = maildir:~/Maildir\nmbox_write_locks = dotlock\n")


SOUND = (
    Sound("a large mbox and no limit", unlimited),
    Sound("the locks of Dovecot", the_locks_of_dovecot, silent=["PV413"]),
    Sound("Dovecot with maildirs", dovecot_with_maildirs),
)
