"""What README shows of a command is what the command prints."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run

_README = (Path(__file__).parents[2] / "README.md").read_text()


def shown(command: str) -> str:
    """README's example of a command, up to a line of dots."""
    (block,) = re.findall(rf"(?m)^    # {re.escape(command)}\n((?:    .*\n)+)", _README)
    return re.sub(r"(?m)^    ", "", block).partition("    ...\n")[0]


def as_in_readme(output: bytes, instance: Instance) -> str:
    """What was printed, with README's places, table type and owner."""
    owner = instance.recipient_owner
    text = output.decode()
    for ours, theirs in (
        (f"{instance.mail}", "/var/vmail"),
        (f"{instance.etc}", "/etc/postfix"),
        (f"{owner.uid}", "5000"),
        ("main.cf:1:", "main.cf:49:"),
        ("main.cf:2:", "main.cf:52:"),
        ("root:5000", "root:vmail"),
    ):
        text = text.replace(ours, theirs)
    return text


def narrow(text: str) -> str:
    """Columns are as wide as what is in them, so paths of another length move them."""
    return re.sub(" {2,}", "  ", text)


@pytest.fixture
def readme_instance(instance: Instance) -> Instance:
    entries = {
        "user@example.com": "example.com/user/",
        "anybody@example.net": "example.net/anybody/",
    }
    maps = instance.add_table("hash", "vmailbox", entries)
    instance.main_cf(
        {
            "virtual_mailbox_domains": "example.com, example.net",
            "virtual_mailbox_maps": maps,
        }
    )
    (instance.etc / "master.cf").write_text("virtual unix - n n - - virtual\n")
    # So that the lines of these are known.
    first = ("virtual_mailbox_domains", "virtual_mailbox_maps")
    main_cf = instance.etc / "main.cf"
    lines = main_cf.read_text().splitlines(keepends=True)
    lines.sort(key=lambda line: (not line.startswith(first), line.startswith(first[1])))
    main_cf.write_text("".join(lines))
    os.utime(main_cf, (1, 1))
    for name in ("example.com", "example.com/user", "example.net"):
        folder = instance.mail / name
        folder.mkdir()
        instance.recipient_owner.give(folder)
    return instance


@pytest.mark.root
def test_check_config(readme_instance: Instance, postvirt: Run) -> None:
    instance = readme_instance
    folder = instance.mail / "example.net"
    os.chown(folder, 0, instance.recipient_owner.gid)
    folder.chmod(0o2700)
    done = postvirt("check-config")
    said = as_in_readme(done.stdout, instance)
    said = said.replace(f" {folder.stat().st_ino}'", " 393218'")
    assert shown("postvirt check-config") in said
    assert done.returncode == 1


@pytest.mark.root
def test_explain(readme_instance: Instance, postvirt: Run) -> None:
    done = postvirt("explain", "user@example.com")
    said = as_in_readme(done.stdout, readme_instance)
    assert narrow(said).startswith(narrow(shown("postvirt explain user@example.com")))


@pytest.mark.root
def test_quota(readme_instance: Instance, postvirt: Run) -> None:
    instance = readme_instance
    limits = instance.add_table("hash", "quotas", {"user@example.com": "1G"})
    with (instance.etc / "main.cf").open("a") as main_cf:
        main_cf.write(
            f"virtual_mailbox_limit_maps = {limits}\nvirtual_maildir_extended = yes\n"
        )
    maildir = instance.mail / "example.com" / "user"
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir()
        instance.recipient_owner.give(maildir / name)
    for size in (1024, 1 << 28, (1 << 28) - 1024):
        (maildir / "new" / f"1.a,S={size}").touch()
    postvirt("quota recalc", "user@example.com")

    def is_shown(command: str) -> bool:
        said = as_in_readme(postvirt(command).stdout, instance)
        lines = [f"# postvirt {command}", *said.splitlines()]
        return "".join(f"    {line}\n" for line in lines) in _README

    assert is_shown("quota user@example.com")
    assert is_shown("quota report")
    (maildir / "new" / "1.a,S=1024").unlink()
    assert is_shown("quota recalc user@example.com")


def test_lookup(readme_instance: Instance, postvirt: Run) -> None:
    table = f"hash:{readme_instance.etc}/vmailbox"
    done = postvirt("lookup", table, "user@example.com")
    command = "postvirt lookup hash:/etc/postfix/vmailbox user@example.com"
    assert f"    # {command}\n    {done.stdout.decode()}" in _README
