"""A machine whose Postfix is built and laid out as another distribution does it.

It is this machine, seen through an overlay that lives in memory: the genuine Postfix's
files are moved, and the defaults that were compiled into its library are overwritten,
so that its own programs know no other places. Whoever enters it is in namespaces of its
own for mounts and processes, which end with it; nothing of this machine changes.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import pytest

from postvirt.config.compiled_in import compiled_in
from postvirt.standin.postfix import MASTER_CF
from tests.harness.builds import DEBIAN
from tests.harness.child import in_child
from tests.harness.file_systems import leave_the_mounts_of_the_others

PROJECT = Path(__file__).parents[2]
# What contains the defaults.
_BUILT = (Path("/usr/lib/postfix/libpostfix-global.so"), Path("/usr/sbin/postconf"))
_COMMANDS = (
    "postfix",
    "postconf",
    "postdrop",
    "postqueue",
    "postmap",
    "postlog",
    "postsuper",
    "postalias",
)
_PATIENCE_SECONDS = 20.0
_PATIENCE_FOR_A_STORY = 90
_LOOK_SECONDS = 0.02

T = TypeVar("T")


class Layout(NamedTuple):
    """How a distribution builds Postfix, and what it writes into main.cf.

    source   where its packaging says so
    built    the defaults that differ from Debian's
    main_cf  what main.cf names after the installation
    """

    name: str
    source: str
    built: Mapping[str, str]
    main_cf: Mapping[str, str]

    def place(self, parameter: str) -> str:
        """The value that holds."""
        return {**DEBIAN, **self.built, **self.main_cf}[parameter]


FEDORA = Layout(
    "Fedora, RHEL, Alpine, Gentoo",
    "openela-main/postfix, SPECS/postfix.spec: postfix_daemon_dir, maildrop_group;"
    " alpinelinux/aports, main/postfix/APKBUILD: daemon_directory, shlib_directory;"
    " gentoo/gentoo, mail-mta/postfix/postfix-3.11.7.ebuild: default_database_type",
    {"daemon_directory": "/usr/libexec/postfix", "default_database_type": "lmdb"},
    {},
)
OPENSUSE = Layout(
    "openSUSE",
    "bmwiedemann/openSUSE, packages/p/postfix/postfix.spec: pf_daemon_directory,"
    " pf_setgid_group, meta_directory, DEF_DB_TYPE",
    {
        "daemon_directory": "/usr/libexec/postfix",
        "default_database_type": "lmdb",
        "meta_directory": "/usr/lib/postfix",
    },
    {"daemon_directory": "/usr/lib/postfix/bin/", "setgid_group": "maildrop"},
)
ARCH = Layout(
    "Arch Linux",
    "gripped/archpkgbuilds, extra/postfix/PKGBUILD of 3.9.0: DEF_COMMAND_DIR,"
    " DEF_DAEMON_DIR, DEF_DB_TYPE",
    {
        "command_directory": "/usr/bin",
        "daemon_directory": "/usr/lib/postfix/bin",
        "default_database_type": "lmdb",
    },
    {},
)
FREEBSD = Layout(
    "FreeBSD's port",
    "freebsd/freebsd-ports, mail/postfix/Makefile: POSTFIX_CCARGS, REINPLACE",
    {
        "command_directory": "/usr/local/sbin",
        "config_directory": "/usr/local/etc/postfix",
        "daemon_directory": "/usr/local/libexec/postfix",
        "data_directory": "/var/db/postfix",
        "meta_directory": "/usr/local/libexec/postfix",
        "setgid_group": "maildrop",
    },
    {
        "command_directory": "/usr/local/sbin",
        "daemon_directory": "/usr/local/libexec/postfix",
        "data_directory": "/var/db/postfix",
        "queue_directory": "/var/spool/postfix",
        "mail_owner": "postfix",
    },
)

LAYOUTS = (FEDORA, OPENSUSE, ARCH, FREEBSD)


class Machine:
    """The machine, as a process sees it that has entered it (`on_machine`)."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.etc = Path(layout.place("config_directory"))
        self.daemons = Path(layout.place("daemon_directory"))
        self._commands = layout.place("command_directory")
        self._installed = compiled_in()
        self._rebuild()
        self._move_programs()
        self._configure()

    def _rebuild(self) -> None:
        """Overwrite what was compiled in; a longer text has no room there.

        Since Postfix 3.11, Debian itself has other defaults for two of them.
        """
        told = {}
        for name, text in self.layout.built.items():
            if len(text) > len(DEBIAN[name]) or self._installed[name] != DEBIAN[name]:
                told[name] = text
            elif name != "meta_directory":  # the same text as config_directory
                for program in _BUILT:
                    _overwrite(program, DEBIAN[name].encode(), text.encode())
        if told:
            self._have_postconf_tell(told)

    def _have_postconf_tell(self, defaults: Mapping[str, str]) -> None:
        genuine = Path("/usr/sbin/postconf")
        hidden = genuine.rename("/usr/lib/postfix/genuine-postconf")
        edits = "".join(f"s,^{n} = .*,{n} = {v},;" for n, v in defaults.items())
        genuine.write_text(
            f'#!/bin/sh\n[ "$1" != -d ] && exec {hidden} "$@"\n'
            f"{hidden} \"$@\" | sed '{edits}'\n"
        )
        genuine.chmod(0o755)

    def _move_programs(self) -> None:
        layout = self.layout
        _move("/usr/lib/postfix/sbin", str(self.daemons))
        if self._commands != DEBIAN["command_directory"]:
            Path(self._commands).mkdir(parents=True, exist_ok=True)
            for name in _COMMANDS:
                _move(f"/usr/sbin/{name}", f"{self._commands}/{name}")
        meta = Path(layout.place("meta_directory"))
        for name in ("postfix-files", "dynamicmaps.cf", "dynamicmaps.cf.d"):
            there = Path(self._installed["meta_directory"], name)
            if there.exists() and there.parent != meta:
                _move(str(there), f"{meta}/{name}")
        if layout.place("setgid_group") != DEBIAN["setgid_group"]:
            with open("/etc/group", "a", encoding="ascii") as file:
                file.write(f"{layout.place('setgid_group')}:x:4997:\n")

    def _configure(self) -> None:
        layout = self.layout
        self.etc.mkdir(parents=True, exist_ok=True)
        if str(self.etc) != DEBIAN["config_directory"]:
            shutil.rmtree("/etc/postfix")
        _remove("/var/spool/postfix")
        _remove("/var/lib/postfix")
        _remove("/var/vmail")
        Path(layout.place("queue_directory")).mkdir(parents=True)
        data = Path(layout.place("data_directory"))
        data.mkdir(parents=True)
        shutil.chown(data, layout.place("mail_owner"))
        (self.etc / "master.cf").write_text(MASTER_CF)
        Path("/var/vmail").mkdir()
        os.chown("/var/vmail", 5000, 5000)
        self.main_cf()

    def main_cf(self, **parameters: str) -> None:
        """Write main.cf: what the layout names, what a test needs, and these."""
        values = {
            **self.layout.main_cf,
            "compatibility_level": "3.6",
            "meta_directory": self.layout.place("meta_directory"),
            "myhostname": "mail.example.org",
            "mydestination": "",
            "mynetworks": "127.0.0.1/32",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "default_transport": "discard:",
            "relay_transport": "discard:",
            "local_transport": "discard:",
            "alias_maps": "",
            "alias_database": "",
            "maillog_file": "/var/log/postfix.log",
            "virtual_mailbox_domains": "example.com",
            "virtual_mailbox_base": "/var/vmail",
            "virtual_mailbox_maps": "inline:{bob@example.com=bob/}",
            "virtual_uid_maps": "static:5000",
            "virtual_gid_maps": "static:5000",
            **parameters,
        }
        path = self.etc / "main.cf"
        path.write_text("".join(f"{n} = {v}\n" for n, v in values.items() if v))
        then = time.time() - 10
        os.utime(path, (then, then))

    def run(self, *command: str, stdin: bytes = b"", expect: int = 0) -> str:
        """Run a command, with no other directory in PATH than usual; its output."""
        group = self.layout.place("setgid_group")
        done = subprocess.run(
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, "LANG": "C"},
            group=group if os.path.basename(command[0]) == "sendmail" else None,
            check=False,
        )
        output = done.stdout.decode(errors="surrogateescape")
        assert done.returncode == expect, f"{command}: {output}"
        return output

    def postvirt(self, *arguments: str, expect: int = 0) -> str:
        """Run postvirt."""
        return self.run(_POSTVIRT, *arguments, expect=expect)

    def postfix(self, command: str) -> str:
        """Run postfix(1)."""
        return self.run(f"{self._commands}/postfix", "-c", str(self.etc), command)

    def submit(self) -> None:
        """Send a message to bob."""
        command = ("sendmail", "-C", str(self.etc), "-i", "-f", "", "bob@example.com")
        self.run(*command, stdin=b"Subject: hello\n\nhello\n")

    def foreground(self) -> IO[str]:
        """Run Postfix in the foreground, until the story ends; what it prints."""
        process = subprocess.Popen(
            [f"{self._commands}/postfix", "-c", str(self.etc), "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": _PATH},
        )
        assert process.stdout is not None
        return process.stdout

    def confine(self) -> None:
        """Make it a container as small as it can be.

        Only the queue, data_directory and the mailboxes can be written; there is no
        temporary directory and no syslog socket. It cannot be undone.
        """
        writable = ("queue_directory", "data_directory")
        for path in (*map(self.layout.place, writable), "/var/vmail"):
            _mount("--bind", path, path)
        _mount("-o", "remount,bind,ro", "/")
        for path in ("/tmp", "/var/tmp", "/run", "/dev/shm"):
            if _POSTVIRT.startswith(f"{path}/"):  # the checkout may be there
                _mount("--bind", path, path)
                _mount("-o", "remount,bind,ro", path)
            else:
                _mount("-t", "tmpfs", "-o", "ro", "tmpfs", path)
        if os.path.exists("/dev/log"):
            _mount("--bind", os.devnull, "/dev/log")

    def deliver(self) -> str:
        """Send a message to bob; the line that the delivery agent logs about it."""
        before = self.log().count(" status=")
        self.submit()
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while self.log().count(" status=") == before:
            assert time.monotonic() < give_up, self.log()
            time.sleep(_LOOK_SECONDS)
        return [line for line in self.log().splitlines() if " status=" in line][-1]

    def log(self) -> str:
        """The mail log."""
        path = Path("/var/log/postfix.log")
        return path.read_text() if path.exists() else ""

    def programs(self, name: str) -> list[str]:
        """The command lines of the processes that master(8) has started as this."""
        found = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it is gone by now
                words = process.read_bytes().decode().split("\0")
                if any(os.path.basename(word) == name for word in words[:3]):
                    found.append(" ".join(words).strip())
        return found


_CLONE_NEWPID = 0x2000_0000
_MNT_DETACH = 2
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_POSTVIRT = os.path.join(os.path.dirname(sys.executable), "postvirt")


def on_machine(layout: Layout, place: Path, story: Callable[[Machine], T]) -> T:
    """What a story returns that happens on such a machine.

    place   an empty directory
    """

    def inside() -> T:
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(_PATIENCE_FOR_A_STORY)
        _see_the_machine(place)
        return story(Machine(layout))

    def outside() -> T:
        leave_the_mounts_of_the_others()
        # The next child is process 1 of processes of its own, which end with it.
        assert ctypes.CDLL(None).unshare(_CLONE_NEWPID) == 0
        return in_child(inside)

    return in_child(outside)


def _too_long(*_: object) -> None:
    raise TimeoutError("the story does not end")


def _see_the_machine(place: Path) -> None:
    """Have / in memory, above what it was, as process 1."""
    _mount("-t", "tmpfs", "tmpfs", str(place))
    for name in ("changes", "work", "root"):
        (place / name).mkdir()
    root = place / "root"
    options = f"lowerdir=/,upperdir={place}/changes,workdir={place}/work"
    try:
        _mount("-t", "overlay", "-o", options, "overlay", str(root))
    except subprocess.CalledProcessError:
        pytest.skip("this machine cannot mount an overlay over its root")
    _mount("--rbind", "/dev", f"{root}/dev")
    for path in {PROJECT, Path(sys.prefix), Path(sys.base_prefix)}:
        if path.stat().st_dev != os.stat("/").st_dev:
            _mount("--bind", str(path), f"{root}{path}")
    # A process in a chroot jail could not have a user namespace.
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "."], check=True)
    ctypes.CDLL(None).umount2(b".", _MNT_DETACH)
    os.chdir("/")
    _mount("-t", "proc", "proc", "/proc")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _overwrite(program: Path, old: bytes, new: bytes) -> None:
    content = program.read_bytes()
    assert content.count(b"\0%s\0" % old) == 1, old
    room = new.ljust(len(old), b"\0")
    mode = program.stat().st_mode
    program.unlink()
    program.write_bytes(content.replace(b"\0%s\0" % old, b"\0%s\0" % room))
    program.chmod(mode)


def _move(old: str, new: str) -> None:
    """Move a file or a directory, also to a place that is there already."""
    Path(new).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "-T", old, new], check=True)
    _remove(old)


def _remove(path: str) -> None:
    subprocess.run(["rm", "-rf", path], check=True)
