"""One round: some clients try their mail while a call fails, then try again.

Raises: OSError; AssertionError when something does not work without any fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.site import Client, Site, Tried
from tests.faults.strace import Fault, Trace, traced
from tests.power_cut.mail import is_mbox

BYSTANDER = "maildir-bystander"

# These make the mail bounce, as with virtual(8): the owner's quota, and a size limit.
_MAY_BOUNCE = ("EDQUOT", "EFBIG")
_ERRORS = (
    "EIO",
    "ENOSPC",
    "EROFS",
    "ENOMEM",
    "EDQUOT",
    "EFBIG",
    "ESTALE",
    "EINTR",
    "ENODEV",
    "ENOTCONN",
    "ETIMEDOUT",
    "EREMOTEIO",
    "ENOBUFS",
    "EMFILE",
)
# Who cannot come home from an owner's identity has to end at once. And these can only
# fail for want of memory or of rights.
_IDENTITY = (
    "setresuid",
    "setresgid",
    "setreuid",
    "setregid",
    "setgroups",
    "setfsuid",
    "setfsgid",
)
# For some calls, only these errors are of interest.
_ERRORS_OF = {
    **dict.fromkeys(_IDENTITY, ("ENOMEM", "EPERM")),
    **dict.fromkeys(("mmap", "mremap"), ("ENOMEM",)),
    "close": ("EIO", "EDQUOT"),
}
# After these, the agent may have to be started anew.
SLOW = ("close", *_IDENTITY)
# They do not fail, or not while they have valid arguments. (brk(2) answers with an
# address; the C library does not expect an error.)
_NEVER_FAIL = (
    "alarm",
    "brk",
    "epoll_pwait",
    "epoll_wait",
    "exit_group",
    "getpid",
    "getegid",
    "geteuid",
    "getgid",
    "getuid",
    "munmap",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
)
# What makes a message durable; io_submit(2) is not among them: then fsync(2) does it.
_COMMITS = ("fsync", "fdatasync", "sync_file_range", "syncfs")


@dataclass(frozen=True, slots=True)
class Case:
    """Who tries to deliver to which mailboxes.

    has_bystander  another client is connected meanwhile, and sends its request later
    """

    name: str
    mailboxes: tuple[str, ...]
    size_bytes: int = 700
    has_bystander: bool = True


CASES = (
    Case("maildir-alone", ("maildir",), has_bystander=False),
    Case("mbox-alone", ("mbox",), has_bystander=False),
    Case("maildir", ("maildir",)),
    Case("maildir-new", ("maildir-new",)),
    Case("mbox", ("mbox",)),
    Case("mbox-new", ("mbox-new",)),
    Case("large", ("mbox", "maildir"), 1_200_000),
    Case("several", ("maildir", "mbox", "maildir-other", "mbox-other")),
    Case("several-new", ("maildir-new", "mbox-new", "maildir-other")),
)


@dataclass(slots=True)
class Found:
    """What rounds have shown: how many calls failed, and what broke the promise."""

    rounds: int = 0
    hits: int = 0
    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    corrupt: int = 0
    cut_off: int = 0
    ended: int = 0
    broken: list[str] = field(default_factory=list)


def faults_of(site: Site, case: Case) -> list[Fault]:
    """All that can be made to fail in a case: what is called when nothing fails."""
    trace, _ = _deliver(site, case, None, Found())
    return [
        Fault(call, number, error)
        for call, count in sorted(trace.calls.items())
        if call not in _NEVER_FAIL
        for number in range(1, count + 1)
        for error in _ERRORS_OF.get(call, _ERRORS)
    ]


def play(site: Site, case: Case, fault: Fault, found: Found) -> None:
    """One round; what it shows is added to `found`."""
    trace, problems = _deliver(site, case, fault, found)
    found.rounds += 1
    found.hits += trace.arguments is not None
    found.broken += [f"{case.name}:{fault} ({trace.arguments}): {p}" for p in problems]


def _deliver(
    site: Site, case: Case, fault: Fault | None, found: Found
) -> tuple[Trace, list[str]]:
    site.reset()
    clients = [site.client(name, case.size_bytes) for name in case.mailboxes]
    bystanders = [site.client(BYSTANDER)] if case.has_bystander else []
    worker = site.worker()
    log = site.root / "strace.log"
    site.connect(bystanders)
    with traced(worker, log, fault) as trace:
        site.connect(clients)
        replies = site.converse(clients)
    replies += site.converse(bystanders)
    everyone = [*clients, *bystanders]
    first = [
        site.result(client, reply)
        for client, reply in zip(everyone, replies, strict=True)
    ]
    judge = Judge(fault, trace, site.folder)
    has_ended = worker not in site.workers()
    judge.first(everyone, first, has_ended=has_ended)
    if judge.problems:
        judge.problems += [f"logged: {line}" for line in site.last_logged()]
    count(found, first, has_ended=has_ended)
    # strace leaves open what could not be closed, which no file system does.
    starts_anew = has_ended or (fault is not None and fault.call == "close")
    if starts_anew:
        site.stop_agent()
        site.start_agent()
    site.remove_locks()
    again = [
        client
        for client, tried in zip(everyone, first, strict=True)
        if not (tried.is_done or tried.is_corrupt)
    ]
    site.connect(again)
    second = [
        site.result(client, reply)
        for client, reply in zip(again, site.converse(again), strict=True)
    ]
    judge.second(again, second)
    site.forget(everyone)
    if starts_anew:
        site.warm_up()
    else:
        judge.leaks(site.new_descriptors())
    return trace, judge.problems


def count(found: Found, tried: Sequence[Tried], *, has_ended: bool) -> None:
    """Add what an attempt has shown."""
    found.ended += has_ended
    for one in tried:
        found.cut_off += one.status is None
        found.bounced += one.is_bounced
        found.corrupt += one.is_corrupt
        found.sent += one.is_done and not one.is_bounced
        found.deferred += not one.is_done


class Judge:
    """Sees what breaks the promise."""

    def __init__(self, fault: Fault | None, trace: Trace, folder: Path) -> None:
        self.problems: list[str] = []
        self._fault = fault
        self._trace = trace
        self._folder = folder

    def first(
        self, clients: Sequence[Client], tried: Sequence[Tried], *, has_ended: bool
    ) -> None:
        """The attempt with the fault."""
        call = self._fault.call if self._fault else ""
        may_end = call in _IDENTITY
        if has_ended and not may_end:
            self.problems.append("the worker has ended")
        cut_off = [
            client.name
            for client, one in zip(clients, tried, strict=True)
            if one.status is None
        ]
        # A connection that fails is the client's own trouble.
        most = len(clients) if may_end else int(self._is_about_a_connection())
        if len(cut_off) > most:
            self.problems.append(f"cut off: {', '.join(cut_off)}")
        for client, one in zip(clients, tried, strict=True):
            self._one(client, one, tries=1)
            if one.is_bounced and not (self._fault and self._may_bounce()):
                self._complain(client, "bounced")
            if one.is_done and not one.is_bounced and self._lost_commit(client.name):
                self._complain(client, "sent, though its commit has failed")

    def second(self, clients: Sequence[Client], tried: Sequence[Tried]) -> None:
        """The next attempt, of those whose mail was not done."""
        for client, one in zip(clients, tried, strict=True):
            self._one(client, one, tries=2)
            if not one.is_done or one.is_bounced:
                self._complain(client, f"not sent by the next attempt: {one}")

    def leaks(self, descriptors: int) -> None:
        """How many more the worker has open than ever before."""
        if descriptors > 0:
            self.problems.append(f"{descriptors} descriptors stay open")

    def _one(self, client: Client, tried: Tried, tries: int) -> None:
        if tried.damage:
            self._complain(client, tried.damage)
        if tried.copies > tries:
            self._complain(client, f"{tried.copies} copies in {tries} attempts")
        if tried.is_done and not tried.is_bounced and not tried.copies:
            self._complain(client, "sent, but not there")
        if tried.is_bounced and tried.copies:
            self._complain(client, "bounced, but there")
        if tried.is_corrupt:
            self._complain(client, "taken for corrupt")

    def _complain(self, client: Client, what: str) -> None:
        self.problems.append(f"{client.name}: {what}")

    def _may_bounce(self) -> bool:
        return self._fault is not None and self._fault.error in _MAY_BOUNCE

    def _is_about_a_connection(self) -> bool:
        arguments = self._trace.arguments or ""
        return "<socket:" in arguments or "<UNIX" in arguments

    def _lost_commit(self, name: str) -> bool:
        """Whether the call that failed was to commit this mailbox."""
        if self._fault is None or self._fault.call not in _COMMITS:
            return False
        if self._fault.error == "EINTR":
            return False  # Python asks again, and nothing has been said about the data
        path = self._folder / name
        end = ">" if is_mbox(name) else "/"
        return f"<{path}{end}" in (self._trace.arguments or "")


def all_faults(site: Site) -> list[tuple[Case, Fault]]:
    """All that can be made to fail."""
    return [(case, fault) for case in CASES for fault in faults_of(site, case)]
