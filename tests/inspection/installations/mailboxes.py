"""What is in the way of those who own the mailboxes."""

from __future__ import annotations

import os
import shutil

from tests.harness.installations import Broken, Installation, Sound

ROOT = (0, 0)
OTHER = (6000, 6000)
BOB = "bob@example.com"


def base_of_root(it: Installation) -> None:
    """As after mkdir: the most common mistake of all."""
    it.give(it.mail, ROOT)


def base_closed(it: Installation) -> None:
    it.give(it.mail, ROOT)
    it.mail.chmod(0o700)


def base_below_a_closed_directory(it: Installation) -> None:
    above = it.root / "home"
    above.mkdir(mode=0o700)
    base = above / "mail"
    base.mkdir()
    it.give(base)
    it.set(virtual_mailbox_base=str(base))


def base_closed_and_tables_that_cannot_tell(it: Installation) -> None:
    base_closed(it)
    it.table("patterns", {})
    it.set(virtual_mailbox_maps=f"regexp:{it.etc}/patterns")


def domain_of_root(it: Installation) -> None:
    it.directory("example.com", owner=ROOT)


def domain_of_root_closed(it: Installation) -> None:
    it.directory("example.com/bob", owner=ROOT)
    (it.mail / "example.com").chmod(0o700)


def several_owners_below_root(it: Installation) -> None:
    it.mailboxes({BOB: "example.com/bob/", "ann@example.com": "example.com/ann/"})
    it.set(
        virtual_uid_maps=it.table("uids", {BOB: "5000", "ann@example.com": "5001"}),
        virtual_gid_maps="static:5000",
    )
    it.directory("example.com", owner=ROOT)


def one_of_several_owners(it: Installation) -> None:
    """The directory of the other one is there, and must not become somebody's."""
    it.mailboxes({BOB: "u5000/bob/", "ann@example.com": "u5002/ann/"})
    it.set(
        virtual_uid_maps=it.table("uids", {BOB: "5000", "ann@example.com": "5002"}),
        virtual_gid_maps="static:5000",
    )
    it.directory("u5000")
    it.give(it.mail, ROOT)


def own_directory_without_write(it: Installation) -> None:
    it.directory("example.com", mode=0o555)


def maildir_without_new(it: Installation) -> None:
    it.directory("example.com/bob/tmp", mode=0o700)
    (it.mail / "example.com/bob").chmod(0o500)


def tmp_of_somebody_else(it: Installation) -> None:
    it.directory("example.com/bob/tmp", mode=0o700)
    it.directory("example.com/bob/new", mode=0o700, owner=ROOT)


def directory_of_another_recipient(it: Installation) -> None:
    it.mailboxes({BOB: "ann/bob/"})
    it.directory("ann", owner=OTHER, mode=0o755)


def link_to_a_closed_disk(it: Installation) -> None:
    disk = it.root / "disk"
    disk.mkdir(mode=0o700)
    (disk / "example.com").mkdir()
    it.give(disk / "example.com")
    (it.mail / "example.com").symlink_to(disk / "example.com")


def link_of_root_to_a_closed_disk(it: Installation) -> None:
    it.give(it.mail, ROOT)
    it.set(virtual_mailbox_lock="fcntl")
    it.mailboxes({BOB: "example.com/bob/"})
    link_to_a_closed_disk(it)


def link_of_the_owner_to_root(it: Installation) -> None:
    it.directory("example.com/bob/tmp", mode=0o700)
    new = it.mail / "example.com/bob/new"
    new.symlink_to(it.etc)
    it.give(new)


def link_to_nowhere(it: Installation) -> None:
    (it.mail / "example.com").symlink_to("/no/such/disk")


def links_in_a_ring(it: Installation) -> None:
    (it.mail / "example.com").symlink_to("example.org")
    (it.mail / "example.org").symlink_to("example.com")


def file_for_a_maildir(it: Installation) -> None:
    it.directory("example.com")
    it.mbox("example.com/bob")


def directory_for_an_mbox(it: Installation) -> None:
    it.directory("mbox/cur")


def mbox_of_root(it: Installation) -> None:
    it.mbox("mbox", owner=ROOT)


def mbox_and_directory_of_root(it: Installation) -> None:
    it.mailboxes({"mbox@example.com": "mbox"})
    mbox_of_root(it)
    it.mbox("mbox", owner=ROOT).chmod(0o400)
    it.give(it.mail, ROOT)
    it.set(virtual_mailbox_lock="fcntl")


def mbox_without_write(it: Installation) -> None:
    it.mbox("mbox").chmod(0o400)


def mbox_of_another(it: Installation) -> None:
    it.mbox("mbox", owner=OTHER).chmod(0o666)


def mbox_with_two_names(it: Installation) -> None:
    os.link(it.mbox("mbox"), it.mail / "copy")


def mbox_that_is_a_link(it: Installation) -> None:
    it.mbox("other")
    (it.mail / "mbox").symlink_to("other")
    it.give(it.mail / "mbox")


def mbox_that_is_a_fifo(it: Installation) -> None:
    os.mkfifo(it.mail / "mbox", 0o600)
    it.give(it.mail / "mbox")


def mbox_without_directory(it: Installation) -> None:
    it.mailboxes({BOB: "example.com/bob"})


def mbox_below_a_file(it: Installation) -> None:
    it.mailboxes({BOB: "mbox/bob"})
    it.mbox("mbox")


def many_with_the_same_cause(it: Installation) -> None:
    it.mailboxes({f"user{n}@example.com": f"example.com/{n}/" for n in range(300)})
    domain_of_root(it)


def only_an_everybody_entry(it: Installation) -> None:
    it.mailboxes({"@example.com": "example.com/everybody/"})
    domain_of_root(it)


BROKEN = (
    Broken(
        "the base belongs to root",
        "PV203",
        base_of_root,
        says=[
            "uid 5000 gid 5000 cannot create {root}/mail/example.com in {root}/mail",
            "{root}/mail (owner root:root, mode 0755): 2 mailboxes (bob@example.com, ",
        ],
    ),
    Broken(
        "mbox files in a directory of the system",
        "PV203",
        lambda it: [
            it.set(virtual_mailbox_base="/home"),
            it.mailboxes({BOB: "mbox-of-no-account"}),
        ],
        lambda it: it.set(virtual_mailbox_base=str(it.mail)),
        says=["of their owner's own, not in one of the system's"],
    ),
    Broken(
        "maildirs in a directory of the system",
        "PV203",
        lambda it: [
            it.set(virtual_mailbox_base="//home/"),
            it.mailboxes({BOB: "maildir-of-no-account/"}),
        ],
        lambda it: it.set(virtual_mailbox_base=str(it.mail)),
        says=["create the missing directories", "/home/maildir-of-no-account"],
    ),
    Broken("the base is closed", "PV202", base_closed, says=["mode 0700"]),
    Broken(
        "the base is below a closed directory",
        "PV202",
        base_below_a_closed_directory,
        says=[
            "gid 5000 cannot search {root}/home (owner root:root, mode 0700): 2 mail"
        ],
    ),
    Broken(
        "the base is closed and no table tells",
        "PV202",
        base_closed_and_tables_that_cannot_tell,
        says=["{root}/mail (owner root:root, mode 0700)"],
    ),
    Broken(
        "the domain belongs to root",
        "PV203",
        domain_of_root,
        says=["{root}/mail/example.com (owner root:root", BOB],
    ),
    Broken("the domain is closed", "PV202", domain_of_root_closed),
    Broken(
        "several owners below a directory of root",
        "PV203",
        several_owners_below_root,
        says=["mkdir -m 700 ./ann && ", "chown --from=0 5001:5000 ."],
    ),
    Broken(
        "one of several owners below the base of root",
        "PV203",
        one_of_several_owners,
        says=["install -d -m 700 -o 5002 -g 5000 {root}/mail/u5002"],
    ),
    Broken(
        "an own directory without write",
        "PV203",
        own_directory_without_write,
        says=["--clear-groups chmod u+rwx {root}/mail/example.com"],
    ),
    Broken("a maildir without new", "PV203", maildir_without_new),
    Broken("new belongs to root", "PV203", tmp_of_somebody_else),
    Broken(
        "below the directory of another recipient",
        "PV203",
        directory_of_another_recipient,
        says=["cd -P {root}/mail/ann && ", "mkdir -m 700 ./bob && "],
    ),
    Broken(
        "a link to a closed disk",
        "PV202",
        link_to_a_closed_disk,
        lambda it: (it.root / "disk").chmod(0o711),
        says=[
            "through the symbolic link {root}/mail/example.com)",
            "is a symbolic link of root's that leads to {root}/disk/example.com",
        ],
    ),
    Broken(
        "a link of root's to a closed disk",
        "PV202",
        link_of_root_to_a_closed_disk,
        says=["through the symbolic link {root}/mail/example.com)", "{root}/disk"],
    ),
    Broken(
        "a link of the owner's to a directory of root's",
        "PV203",
        link_of_the_owner_to_root,
        lambda it: (it.mail / "example.com/bob/new").unlink(),
        says=[
            "{root}/mail/example.com/bob/new is a symbolic link of uid 5000's",
            "that leads to {root}/etc;",
        ],
    ),
    Broken(
        "a link to nowhere",
        "PV205",
        link_to_nowhere,
        lambda it: (it.mail / "example.com").unlink(),
    ),
    Broken(
        "links in a ring",
        "PV205",
        links_in_a_ring,
        lambda it: (it.mail / "example.com").unlink(),
    ),
    Broken(
        "a file in place of a maildir",
        "PV206",
        file_for_a_maildir,
        lambda it: (it.mail / "example.com/bob").rename(it.mail / "old"),
        says=["{root}/mail/example.com/bob", "is not a directory"],
    ),
    Broken(
        "a maildir in place of an mbox",
        "PV206",
        directory_for_an_mbox,
        lambda it: it.mailboxes({"mbox@example.com": "mbox/"}),
        says=['end the path in the table with "/"'],
    ),
    Broken(
        "an mbox of root",
        "PV206",
        mbox_of_root,
        says=["mv -nT {root}/mail/mbox {root}/mail/mbox.old"],
    ),
    Broken(
        "an mbox of root in a directory of root",
        "PV206",
        mbox_and_directory_of_root,
        says=["chown 5000:5000 {root}/mail/mbox", "chmod u+rw {root}/mail/mbox"],
    ),
    Broken("an mbox without write", "PV206", mbox_without_write),
    Broken("an mbox of somebody else", "PV206", mbox_of_another),
    Broken(
        "an mbox with two names",
        "PV206",
        mbox_with_two_names,
        lambda it: (it.mail / "copy").unlink(),
    ),
    Broken(
        "an mbox that is a link",
        "PV206",
        mbox_that_is_a_link,
        lambda it: it.mailboxes({"mbox@example.com": "other"}),
    ),
    Broken(
        "an mbox that is a fifo",
        "PV206",
        mbox_that_is_a_fifo,
        lambda it: (it.mail / "mbox").unlink(),
    ),
    Broken(
        "an mbox without its directory",
        "PV204",
        mbox_without_directory,
        says=[
            "example.com does not exist: 1 mailbox (bob@example.com), owner uid 5000 "
        ],
    ),
    Broken(
        "an mbox below a file",
        "PV206",
        mbox_below_a_file,
        lambda it: it.mailboxes({BOB: "boxes"}),
    ),
    Broken(
        "many mailboxes with the same cause",
        "PV203",
        many_with_the_same_cause,
        says=["300 mailboxes (user0@example.com, user1@example.com, "],
    ),
    Broken(
        "an entry for everybody in a domain",
        "PV203",
        only_an_everybody_entry,
        says=["anybody@example.com"],
    ),
)


def maildirs_made_beforehand(it: Installation) -> None:
    it.give(it.mail, ROOT)
    for part in ("tmp", "new", "cur"):
        it.directory(f"example.com/bob/{part}", mode=0o700)
    it.give(it.mail / "example.com", ROOT)
    it.mailboxes({BOB: "example.com/bob/"})


def base_that_mail_owner_cannot_reach(it: Installation) -> None:
    above = it.root / "home"
    above.mkdir()
    it.give(above)
    above.chmod(0o700)
    base = above / "mail"
    base.mkdir()
    it.give(base)
    it.set(virtual_mailbox_base=str(base))


def linked_disk(it: Installation) -> None:
    shutil.rmtree(it.mail)
    (it.root / "disk").mkdir()
    it.give(it.root / "disk")
    it.mail.symlink_to("disk")


def mbox_and_no_dot_lock(it: Installation) -> None:
    it.mailboxes({"mbox@example.com": "mbox"})
    it.mbox("mbox")
    it.give(it.mail, ROOT)
    it.set(virtual_mailbox_lock="fcntl")


SOUND = (
    Sound("maildirs made beforehand", maildirs_made_beforehand),
    Sound("a base for recipients only", base_that_mail_owner_cannot_reach),
    Sound("a base that is a link", linked_disk),
    Sound("an mbox in a directory of root without dot locks", mbox_and_no_dot_lock),
)
