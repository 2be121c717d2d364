"""What systemd and SELinux keep from a delivery that everybody else may do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.inspection.machine import selinux, systemd_sandbox
from postvirt.inspection.machine.systemd_sandbox import confinement_of, parse, unit_of
from postvirt.inspection.problem import Problem
from tests.harness.installations import Installation, problems_of

# What `systemctl show` prints for postfix@-.service of Debian 12 and for a unit that
# somebody has hardened; the last two lines are not asked for.
PLAIN = """\
ReadWritePaths=
ReadOnlyPaths=
InaccessiblePaths=
PrivateTmp=no
ProtectHome=no
ProtectSystem=no
TemporaryFileSystem=
StateDirectory=
"""
HARDENED = """\
ReadWritePaths=/var/spool/postfix -/var/lib/postfix
ReadOnlyPaths=/srv/archive
InaccessiblePaths=-/lost+found
PrivateTmp=yes
ProtectHome=yes
ProtectSystem=strict
TemporaryFileSystem=/srv/scratch:ro
StateDirectory=mail:vmail
ExecMainPID=812
ExecStart={ path=/usr/sbin/postmulti ; argv[]=/usr/sbin/postmulti -i - -p start ; }
"""


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        (
            "0::/system.slice/system-postfix.slice/postfix@-.service\n",
            "postfix@-.service",
        ),
        ("0::/system.slice/postvirt.service/worker\n", "postvirt.service"),
        (
            "12:memory:/system.slice/postfix.service\n1:name=systemd:/system.slice\n",
            "postfix.service",
        ),
        ("0::/user.slice/user-0.slice/session-3.scope\n", ""),
        ("0::/\n", ""),
    ],
)
def test_the_unit_of_a_process(cgroup: str, unit: str) -> None:
    assert unit_of(cgroup) == unit


@pytest.mark.parametrize("path", ["/home/vmail", "/var/mail", "/tmp/x", "/usr/x", "/"])
def test_a_plain_unit_keeps_nothing_away(path: str) -> None:
    assert confinement_of(parse(PLAIN), path) is None
    assert confinement_of({}, path) is None


@pytest.mark.parametrize(
    ("path", "setting", "is_hidden"),
    [
        ("/home/vmail", "ProtectHome=yes", True),
        ("/root/mail", "ProtectHome=yes", True),
        ("/tmp/mail", "PrivateTmp=yes", True),
        ("/srv/scratch/mail", "TemporaryFileSystem=/srv/scratch", True),
        ("/lost+found", "InaccessiblePaths=/lost+found", True),
        ("/var/mail/vhosts", "ProtectSystem=strict", False),
        ("/srv/archive/mail", "ReadOnlyPaths=/srv/archive", False),
        ("/var/lib/mail2", "ProtectSystem=strict", False),
    ],
)
def test_a_hardened_unit(path: str, setting: str, is_hidden: bool) -> None:
    found = confinement_of(parse(HARDENED), path)
    assert found is not None
    assert (found.setting, found.is_hidden) == (setting, is_hidden)


@pytest.mark.parametrize(
    "path",
    ["/var/spool/postfix", "/var/lib/postfix/x", "/var/lib/mail/bob", "/dev/shm"],
)
def test_what_a_hardened_unit_may_write(path: str) -> None:
    assert confinement_of(parse(HARDENED), path) is None


@pytest.mark.parametrize(
    ("properties", "path", "setting"),
    [
        ({"ProtectHome": "read-only"}, "/home/vmail", "ProtectHome=read-only"),
        ({"ProtectSystem": "full"}, "/etc/mail", "ProtectSystem=full"),
        ({"ProtectSystem": "yes"}, "/usr/local/mail", "ProtectSystem=yes"),
    ],
)
def test_what_is_read_only(properties: dict[str, str], path: str, setting: str) -> None:
    found = confinement_of(properties, path)
    assert found is not None
    assert (found.setting, found.is_hidden) == (setting, False)
    # The more exact setting wins.
    assert confinement_of({**properties, "ReadWritePaths": path}, path) is None


def with_code(installation: Installation, code: str) -> list[Problem]:
    return [one for one in problems_of(installation) if one.code == code]


@pytest.mark.root
def test_a_running_unit(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process in the pid file, its unit, what systemctl says about that."""
    root = installation.root
    cgroup = root / "proc/812/cgroup"
    cgroup.parent.mkdir(parents=True)
    cgroup.write_text("0::/system.slice/system-postfix.slice/postfix@-.service\n")
    (installation.spool / "pid/master.pid").write_text("              812\n")
    systemctl = root / "bin/systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        f'#!/bin/sh\n[ "$4" = postfix@-.service ] && echo ReadOnlyPaths={root}/mail\n'
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd_sandbox, "PROCESSES", root / "proc")
    assert with_code(installation, "PV605") == []  # systemd does not run
    monkeypatch.setattr(systemd_sandbox, "RUNNING", root)
    (found,) = with_code(installation, "PV605")
    assert f"ReadOnlyPaths={root}/mail in unit postfix@-.service" in found.text
    assert f"ReadWritePaths={root}/mail" in found.commands[1]
    assert found.commands[-1] == "systemctl restart postfix@-.service"
    systemctl.write_text("#!/bin/sh\nexit 1\n")
    assert with_code(installation, "PV605") == []


@pytest.mark.root
def test_a_label_that_is_not_for_mail(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforcing = installation.root / "enforce"
    enforcing.write_text("1")
    said = b"unconfined_u:object_r:default_t:s0\0"

    getxattr = os.getxattr

    def labelled(path: str | bytes, name: str) -> bytes:
        if name != "security.selinux":
            return getxattr(path, name)
        assert path == str(installation.mail)
        return said

    monkeypatch.setattr(os, "getxattr", labelled)
    assert with_code(installation, "PV606") == []
    monkeypatch.setattr(selinux, "ENFORCING", Path(enforcing))
    (found,) = with_code(installation, "PV606")
    assert "its SELinux type default_t" in found.text
    assert found.commands[1] == f"restorecon {installation.mail}"
    said = b"system_u:object_r:mail_spool_t:s0\0"
    assert with_code(installation, "PV606") == []
    said = b"nonsense"
    assert with_code(installation, "PV606") == []
