"""Limits of mailboxes, and parameters about them that do something else than meant."""

from __future__ import annotations

import os

from tests.harness.installations import Broken, Installation, Sound
from tests.inspection.installations.master_cf import GENUINE, launcher, program

BOB, MBOX = "bob@example.com", "mbox@example.com"
MAILDIR = "example.com/bob/"
OTHERS = (5001, 5000)


def limits(it: Installation, entries: dict[str, str], **parameters: str) -> None:
    """A table of limits, and a chosen limit for all others."""
    it.set(
        virtual_mailbox_limit_maps=it.table("limits", entries),
        virtual_mailbox_limit="60000000",
        **parameters,
    )


def extended(it: Installation) -> None:
    """Maildirs whose use is kept in maildirsize."""
    limits(it, {BOB: "30M"}, virtual_maildir_extended="yes")


def of_a_guide(it: Installation) -> None:
    """The lines of the guides, without the name that does not exist."""
    limits(
        it,
        {"@example.com": "10485760", MBOX: "0"},
        virtual_create_maildirsize="yes",
        virtual_maildir_extended="yes",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message='"The user is over quota."',
        virtual_overquota_bounce="yes",
    )


def maildirsize(it: Installation) -> str:
    """The path of the file in a maildir that is there."""
    extended(it)
    it.directory(MAILDIR, mode=0o700)
    for name in ("cur", "new", "tmp"):
        it.directory(MAILDIR + name, mode=0o700)
    return str(it.mail / MAILDIR / "maildirsize")


def a_link(it: Installation) -> None:
    path = maildirsize(it)
    os.symlink("/etc/hostname", path)


def a_directory(it: Installation) -> None:
    maildirsize(it)
    it.directory(MAILDIR + "maildirsize", mode=0o700)


def a_file_of_others(it: Installation) -> None:
    path = maildirsize(it)
    with open(path, "w", encoding="ascii") as file:
        file.write("31457280S\n")
    os.chown(path, *OTHERS)
    os.chmod(path, 0o600)


def a_directory_of_others(it: Installation) -> None:
    maildirsize(it)
    (it.mail / MAILDIR).chmod(0o755)
    os.chown(it.mail / MAILDIR, 0, 0)


def dovecot(it: Installation, text: str) -> None:
    extended(it)
    it.set(virtual_mailbox_limit_maps=None)
    write_dovecot(it, text)


def write_dovecot(it: Installation, text: str) -> None:
    it.dovecot.write_text(text)
    it.dovecot.chmod(0o644)


_DOVECOT_2_3 = """\
mail_plugins = $mail_plugins quota
plugin {{
  quota = {driver}:User quota
  quota_rule = *:storage=1G
  quota_rule2 = Trash:ignore
}}
"""
_DOVECOT_2_4 = """\
mail_plugins {{
  quota = yes
}}
namespace inbox {{
  mailbox Trash {{
    quota_ignore = {ignored}
  }}
}}
quota "User quota" {{
  driver = maildir
  storage_size = {size}
}}
"""


def before_installing(it: Installation) -> None:
    of_a_guide(it)
    program(it, GENUINE)


def installed(it: Installation) -> None:
    of_a_guide(it)
    launcher(it)


BROKEN = (
    Broken(
        "limits that virtual(8) ignores",
        "PV019",
        before_installing,
        severity="warning",
        says=["virtual ignores virtual_mailbox_limit_maps", "postconf -c {root}/etc"],
        needs="postfix",
    ),
    Broken(
        "a name that only guides have",
        "PV003",
        lambda it: it.set(
            virtual_create_maildirsize="yes", virtual_mailbox_extended="yes"
        ),
        severity="warning",
        says=["no version of the VDA patch", "did you mean virtual_maildir_extended?"],
        needs="postfix",
    ),
    Broken(
        "filters of the VDA patch",
        "PV003",
        lambda it: it.set(virtual_maildir_filter="yes"),
        severity="warning",
        says=["the filters of the VDA patch are not executed"],
        needs="postfix",
    ),
    Broken(
        "a text for mail over quota and no quotas",
        "PV011",
        lambda it: it.set(
            virtual_mailbox_limit_override="yes",
            virtual_maildir_limit_message="Sorry, the mailbox is full.",
        ),
        severity="warning",
        says=["virtual_maildir_limit_message have no effect", "virtual_maildir_extend"],
        needs="postfix",
    ),
    Broken(
        "quotas and no limit",
        "PV011",
        lambda it: it.set(virtual_overquota_bounce="yes", virtual_mailbox_limit="0"),
        lambda it: it.set(virtual_mailbox_limit="50000000"),
        severity="info",
        says=["no mailbox has a limit"],
    ),
    Broken(
        "a limit below that of messages, without an override",
        "PV421",
        lambda it: limits(it, {BOB: "5M"}),
        severity="warning",
        says=["5M is below message_size_limit = 10240000", "(bob@example.com)"],
        needs="postfix",
    ),
    Broken(
        "a word as a limit",
        "PV422",
        lambda it: limits(it, {BOB: "much"}),
        lambda it: limits(it, {BOB: "0"}),
        says=['"much" is not a limit: 1 mailbox (bob@example.com)'],
    ),
    Broken(
        "paths as limits",
        "PV422",
        lambda it: limits(it, {BOB: "example.com/bob/", MBOX: "mbox/"}),
        lambda it: limits(it, {BOB: "0", MBOX: "20480000"}),
        says=['"example.com/bob/" is not a limit: 2 mailboxes', "the column"],
    ),
    Broken(
        "maildirs that are counted for each message",
        "PV423",
        lambda it: limits(it, {BOB: "30M"}),
        severity="info",
        needs="postfix",
    ),
    Broken(
        "INBOXes that are counted for each message",
        "PV423",
        lambda it: limits(it, {BOB: "30M"}, virtual_mailbox_limit_inbox="yes"),
        lambda it: it.set(
            virtual_mailbox_limit_inbox=None, virtual_maildir_extended="yes"
        ),
        severity="info",
    ),
    Broken(
        "a maildirsize that is a link",
        "PV423",
        a_link,
        severity="warning",
        says=["maildirsize is a symbolic link (uid 5000): 1 maildir"],
    ),
    Broken(
        "a maildirsize that is a directory",
        "PV423",
        a_directory,
        severity="warning",
        says=["is not a regular file"],
    ),
    Broken(
        "a maildirsize of others",
        "PV423",
        a_file_of_others,
        severity="warning",
        says=["cannot be read and written by the owner"],
    ),
    Broken(
        "a maildir of others",
        "PV423",
        a_directory_of_others,
        severity="warning",
        says=["cannot be created by the owner"],
    ),
    Broken(
        "a limit that nobody chose",
        "PV424",
        lambda it: it.set(virtual_maildir_extended="yes"),
        severity="warning",
        says=["virtual_mailbox_limit = 51200000 (the default) is the limit of 2 mailb"],
        needs="postfix",
    ),
    Broken(
        "a limit that nobody chose, for some",
        "PV424",
        lambda it: it.set(virtual_mailbox_limit_maps=it.table("limits", {BOB: "30M"})),
        lambda it: it.set(virtual_mailbox_limit="51200000"),
        severity="info",
        says=["the limit of 1 mailbox", "(mbox@example.com)"],
    ),
    Broken(
        "another limit in Dovecot",
        "PV425",
        lambda it: dovecot(it, _DOVECOT_2_3.format(driver="maildir")),
        severity="warning",
        says=["Dovecot's limit is 1073741824 bytes", "says 60000000", "line 4"],
        needs="postfix",
    ),
    Broken(
        "another limit in Dovecot 2.4",
        "PV425",
        lambda it: dovecot(it, _DOVECOT_2_4.format(ignored="yes", size="500M")),
        lambda it: write_dovecot(
            it, _DOVECOT_2_4.format(ignored="yes", size="60000000")
        ),
        severity="warning",
        says=["Dovecot's limit is 524288000 bytes"],
    ),
    Broken(
        "a trash folder that only Dovecot counts",
        "PV425",
        lambda it: dovecot(it, _DOVECOT_2_4.format(ignored="no", size="60000000")),
        severity="info",
        says=["Dovecot counts what is in .Trash, and the delivery agent does not"],
        needs="postfix",
    ),
    Broken(
        "an mbox above a limit of its own",
        "PV402",
        lambda it: (limits(it, {MBOX: "20M"}), it.mbox("mbox", size=30_000_000)),
        lambda it: limits(it, {MBOX: "40M"}),
        says=["larger than 20971520 in virtual_mailbox_limit_maps", "30000000 bytes"],
    ),
    Broken(
        "no table of limits",
        "PV104",
        lambda it: it.set(virtual_mailbox_limit_maps=f"texthash:{it.etc}/missing"),
        lambda it: it.set(virtual_mailbox_limit_maps=None),
        says=["{root}/etc/missing", "or remove virtual_mailbox_limit_maps"],
    ),
    Broken(
        "a trash folder without its dot",
        "PV021",
        lambda it: it.set(
            virtual_maildir_extended="yes",
            virtual_mailbox_limit="50000000",
            virtual_trash_name='"Trash"',
        ),
        severity="warning",
        says=["""virtual_trash_name = "Trash" is not""", "virtual_trash_name = .Trash"],
        needs="postfix",
    ),
    Broken(
        "no file of a database with limits",
        "PV104",
        lambda it: it.set(virtual_mailbox_limit_maps=f"sqlite:{it.etc}/missing.cf"),
        lambda it: it.set(virtual_mailbox_limit_maps=None),
        says=["write {root}/etc/missing.cf, which says where the database is"],
    ),
    Broken(
        "limits for users and not for addresses",
        "PV115",
        lambda it: limits(it, {"*@example.com": "30M"}),
        lambda it: limits(it, {"@example.com": "30M"}),
        severity="warning",
        says=["all of a domain is @example.com"],
    ),
)

SOUND = (
    Sound("limits that postvirt enforces", installed, silent=["PV019"]),
    Sound("quotas of a guide", of_a_guide, silent=["PV011", "PV423", "PV424"]),
    Sound(
        "a limit in Dovecot's own files",
        lambda it: dovecot(it, _DOVECOT_2_3.format(driver="count")),
        silent=["PV425"],
    ),
    Sound(
        "the limit of Dovecot",
        lambda it: (
            dovecot(it, _DOVECOT_2_3.format(driver="maildir")),
            it.set(virtual_mailbox_limit="1073741824"),
        ),
        silent=["PV425"],
    ),
    Sound(
        "an mbox within a limit above that of all",
        lambda it: (limits(it, {MBOX: "90M"}), it.mbox("mbox", size=70_000_000)),
    ),
)
