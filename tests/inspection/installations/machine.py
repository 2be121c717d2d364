"""File systems that take nothing, and a queue directory that is not as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.harness.file_systems import tmpfs
from tests.harness.installations import Broken, Change, Installation, Sound

MASTER_CF = "virtual unix - n n - - virtual\n"
_PAGE = 4096


def on_its_own(it: Installation, **limits: int) -> None:
    """Mailboxes on a file system with limits; the smallest of messages fits."""
    tmpfs(**limits)(it.mail)
    it.give(it.mail)
    it.mail.chmod(0o755)
    it.set(message_size_limit="1000")


def other_address(**parameters: str) -> Change:
    """Have parameters in main.cf that only another machine could start with."""

    def change(it: Installation) -> None:
        it.master_cf(MASTER_CF)
        it.set(**parameters)

    return change


def remount(how: str, path: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", path], check=True)


def read_only(it: Installation) -> None:
    on_its_own(it)
    remount("ro", it.mail)


def full(it: Installation) -> None:
    on_its_own(it, size=16 * _PAGE)
    (it.mail / "big").write_bytes(b"x" * 16 * _PAGE)


def little_room(it: Installation) -> None:
    on_its_own(it, size=16 * _PAGE)
    it.set(message_size_limit="10240000")


def no_inodes(it: Installation) -> None:
    on_its_own(it, nr_inodes=16)
    for number in range(15):
        (it.mail / str(number)).touch()


def read_only_queue(it: Installation) -> None:
    it.master_cf(MASTER_CF)
    subprocess.run(["mount", "--bind", it.spool, it.spool], check=True)
    remount("bind,ro", it.spool)


def no_syslog(it: Installation) -> None:
    it.set(maillog_file="")
    if os.path.exists("/dev/log"):
        nothing = it.root / "nothing"
        nothing.touch()
        subprocess.run(["mount", "--bind", nothing, "/dev/log"], check=True)


def log_to_stdout(it: Installation) -> None:
    it.set(maillog_file="/dev/stdout", maillog_file_prefixes="/dev/stdout")


def queue(name: str, mode: int = 0, *, uid: int = -1, gid: int = -1) -> Change:
    """Change the mode or the owner of a directory in the queue directory."""

    def change(it: Installation) -> None:
        it.master_cf(MASTER_CF)
        path = it.spool / name
        if mode:
            path.chmod(mode)
        os.chown(path, uid, gid)

    return change


def without_private(it: Installation) -> None:
    it.master_cf(MASTER_CF)
    shutil.rmtree(it.spool / "private")


def without_public(it: Installation) -> None:
    it.master_cf(MASTER_CF)
    shutil.rmtree(it.spool / "public")


def no_queue(it: Installation) -> None:
    it.master_cf(MASTER_CF)
    it.set(queue_directory=str(it.root / "elsewhere"))


BROKEN = (
    Broken(
        "a mail log that nobody receives",
        "PV610",
        no_syslog,
        log_to_stdout,
        severity="warning",
        says=["maillog_file is empty", "/dev/stdout", "-c {root}/etc start-fg"],
        mounts=True,
    ),
    Broken(
        "mailboxes on a file system that is read-only",
        "PV601",
        read_only,
        lambda it: remount("rw", it.mail),
        says=["virtual_mailbox_base = {root}/mail", "mount -o remount,rw {root}/mail"],
        mounts=True,
    ),
    Broken(
        "a queue on a file system that is read-only",
        "PV601",
        read_only_queue,
        lambda it: remount("bind,rw", it.spool),
        says=["queue_directory = {root}/spool"],
        mounts=True,
    ),
    Broken(
        "a full file system",
        "PV602",
        full,
        lambda it: (it.mail / "big").unlink(),
        says=["is full"],
        mounts=True,
    ),
    Broken(
        "room for less than one message",
        "PV602",
        little_room,
        lambda it: it.set(message_size_limit="1000"),
        severity="warning",
        says=["has 65536 bytes free, less than message_size_limit = 10240000"],
        mounts=True,
    ),
    Broken(
        "no inodes",
        "PV603",
        no_inodes,
        lambda it: [(it.mail / str(number)).unlink() for number in range(15)],
        says=["has no inodes left"],
        mounts=True,
    ),
    Broken(
        "private for everybody",
        "PV607",
        queue("private", 0o755),
        severity="warning",
        says=["chmod 0700 {root}/spool/private"],
    ),
    Broken(
        "private for root",
        "PV607",
        queue("private", uid=0, gid=0),
        says=["chown"],
    ),
    Broken("no private", "PV607", without_private, says=["install -d"]),
    Broken(
        "public for another group",
        "PV607",
        queue("public", gid=0),
        severity="warning",
        says=[
            "must be owned by postfix:postdrop, with mode 0710",
            "chgrp postdrop {root}/spool/public",
            "postfix -c {root}/etc set-permissions corrects all",
        ],
    ),
    Broken(
        "no public",
        "PV607",
        without_public,
        says=["install -d -m 0710 -o postfix -g postdrop {root}/spool/public"],
    ),
    Broken("pid for everybody", "PV607", queue("pid", 0o777), says=["chmod 0755"]),
    Broken("a queue for root", "PV607", queue(".", 0o700), says=["chmod 0711"]),
    Broken(
        "no queue",
        "PV607",
        no_queue,
        lambda it: it.set(queue_directory=str(it.spool)),
        says=[
            "queue_directory = {root}/elsewhere: there is no such directory",
            "create it with: postfix -c {root}/etc check",
        ],
    ),
    Broken(
        "another machine's address",
        "PV611",
        other_address(inet_interfaces="127.0.0.1, 192.0.2.25"),
        lambda it: it.set(inet_interfaces="all"),
        says=[
            "parameter inet_interfaces: no local interface found for 192.0.2.25",
            "correct 192.0.2.25",
        ],
    ),
    Broken(
        "a name without an address",
        "PV611",
        other_address(inet_interfaces="localhost, nowhere.invalid"),
        lambda it: it.set(inet_interfaces="localhost"),
        says=["inet_interfaces: host not found: nowhere.invalid"],
    ),
)

SOUND = (
    Sound(
        "addresses of this machine",
        other_address(inet_interfaces="$myhostname, 127.0.0.1", myhostname="localhost"),
    ),
    Sound(
        "a queue directory as Postfix makes it",
        lambda it: [queue("public", 0o2710)(it), queue("private", 0o700)(it)],
    ),
)
