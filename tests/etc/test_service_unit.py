"""etc/postvirt.service: what it forbids is not needed to deliver mail."""

from __future__ import annotations

import ctypes
import errno
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from postvirt.codec.delivery import encode_request
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import encode_content
from tests.harness.child import in_child, public_directory
from tests.harness.drop_in import DropIn
from tests.harness.requests import request_for
from tests.harness.scenario import BOB, MBOX
from tests.harness.service import Service, arrived, configure, wait_for_end
from tests.harness.service import deliver as deliver_to

pytestmark = pytest.mark.root

UNIT = Path(__file__).parents[2] / "etc" / "postvirt.service"

# linux/prctl.h, linux/capability.h
_DROP_CAPABILITY, _REFUSE_WRITE_EXECUTE = 24, 65
_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_SYS_PTRACE": 19,
}

# seccomp.h
_ALLOW, _FAIL, _EQUAL = 0x7FFF0000, 0x00050000, 4


class _Comparison(ctypes.Structure):
    """What an argument of a system call is compared to."""

    _fields_ = (
        ("number", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("more", ctypes.c_uint64),
    )


def setting(name: str) -> list[str]:
    """The words of a setting in the unit, which may have several lines."""
    found = re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text())
    assert found
    return " ".join(found).split()


def drop_capabilities(*more: str) -> None:
    """Programs that are started have those of the unit, but for some more."""
    names = set(setting("CapabilityBoundingSet")) - set(more)
    kept = {_CAPABILITIES[name] for name in names}
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in {*range(last + 1)} - kept:
        assert ctypes.CDLL(None).prctl(_DROP_CAPABILITY, number, 0, 0, 0) == 0


def refuse_calls() -> None:
    """SystemCallFilter, RestrictAddressFamilies, NoNewPrivileges."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_FAIL | errno.EPERM))
    group, *more = setting("SystemCallFilter")
    for name in {*calls(group), *more} - {"socket"}:
        number = library.seccomp_syscall_resolve_name(name.encode())
        # Some calls belong to other machines.
        if number >= 0:
            assert library.seccomp_rule_add(context, _ALLOW, number, 0) == 0
    number = library.seccomp_syscall_resolve_name(b"socket")
    for name in setting("RestrictAddressFamilies"):
        family = _Comparison(0, _EQUAL, getattr(socket, name), 0)
        rule = (context, _ALLOW, number, 1, ctypes.byref(family))
        assert library.seccomp_rule_add_array(*rule) == 0
    assert library.seccomp_load(context) == 0


def calls(group: str) -> Iterator[str]:
    """The system calls of a group, as systemd knows them."""
    listing = subprocess.run(
        ["systemd-analyze", "syscall-filter", group],
        check=True,
        capture_output=True,
        text=True,
    )
    for line in listing.stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            yield from calls(name)
        elif not name.startswith("#"):
            yield name


def refuse_write_execute() -> None:
    """MemoryDenyWriteExecute, where the kernel (6.3) can do that by itself."""
    result = ctypes.CDLL(None, use_errno=True).prctl(_REFUSE_WRITE_EXECUTE, 1, 0, 0, 0)
    assert result == 0 or ctypes.get_errno() == errno.EINVAL


def deliver() -> tuple[int | None, dict[str, int]]:
    """The answer to a request, and the owners of the files it led to."""
    with public_directory() as root:
        instance = Instance(root)
        mailboxes = {"bob@example.com": "bob/", "mbox@example.com": "mbox"}
        table = instance.add_table("hash", "mailboxes", mailboxes)
        instance.main_cf({"virtual_mailbox_maps": table, "inet_interfaces": "all"})
        queued = instance.add_message(
            *(b"3F1A2B4C5D", b"alice@example.org", (BOB, MBOX)),
            encode_content(b"Hello.\n"),
        )
        with closing(DropIn(instance)) as agent:
            status = agent.ask(encode_request(request_for(queued))).status
        files = [path for path in instance.mail.rglob("*") if path.is_file()]
        return status, {path.parts[-2]: path.stat().st_uid for path in files}


@pytest.mark.postfix
def test_mail_is_delivered_to_its_owners_under_all_restrictions() -> None:
    def work() -> tuple[int | None, dict[str, int]]:
        drop_capabilities()
        refuse_write_execute()
        refuse_calls()
        with pytest.raises(OSError, match="Operation not permitted"):
            socket.socket(socket.AF_PACKET)
        return deliver()

    assert in_child(work) == (0, {"new": 5000, "mail": 5000})


@pytest.mark.postfix
@pytest.mark.parametrize("name", ["CAP_SETUID", "CAP_SETGID"])
def test_without_these_capabilities_nothing_is_delivered(name: str) -> None:
    def work() -> tuple[int | None, dict[str, int]]:
        drop_capabilities(name)
        return deliver()

    assert in_child(work) == (None, {})


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ((), []),
        (("CAP_SETPCAP",), ["their bounding set stays: CAP_SETPCAP is missing"]),
        (("CAP_KILL",), ["root is their real user: CAP_KILL is missing"]),
    ],
)
def test_the_service_delivers_and_stops_without_a_complaint(
    missing: Sequence[str], says: list[str]
) -> None:
    """Processes of mail_owner cannot be sent signals by a root without CAP_KILL."""

    def work() -> tuple[int, list[str]]:
        drop_capabilities(*missing)
        with public_directory() as root:
            instance = Instance(root)
            table = instance.add_table("texthash", "m", {"bob@example.com": "bob/"})
            configure(instance, table, inet_interfaces="all")
            service = Service(instance)
            try:
                service.start()
                pid = service.pid
                lines = [*service.no_lines()]
                deliver_to(service)
                service.stop()
                wait_for_end(pid)
                return arrived(service, "bob"), [
                    line.partition("confined: ")[2] or line
                    for line in (*lines, *service.no_lines())
                    if "error" in line or "confined" in line
                ]
            finally:
                service.end()

    assert in_child(work) == (1, says)


def test_systemd_has_nothing_against_it(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "postvirt"
    unit = tmp_path / UNIT.name
    unit.write_text(
        UNIT.read_text().replace("/opt/postvirt/bin/postvirt", str(program))
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        check=False,
        capture_output=True,
        text=True,
    )
    # It also examines what the machine has.
    others = "/usr/lib/systemd/system/"
    said = [line for line in done.stderr.splitlines() if not line.startswith(others)]
    assert (done.returncode, done.stdout, said) == (0, "", [])
