"""One round on a network file system: its server fails, then the next attempt comes.

Whatever request fails, and with whatever error, the promise of this package must be
kept, and the volume's own:

    mail waits as long as the server fails, and no longer;
    when one request has failed and no more, no message comes twice;
    the next message truncates none that was delivered.

Raises: OSError; AssertionError when something does not work without any trouble.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.faults.rounds import BYSTANDER, CASES, Case, Found, Judge, count
from tests.faults.site import Client, Site, Tried
from tests.faults.strace import Fault, Trace
from tests.harness.remote_volume import Volume
from tests.harness.volume_trouble import Asked, Trouble
from tests.power_cut.mail import is_mbox

# What network file systems say when a server is gone, or has lost a file, or when those
# that are left must not change anything (EROFS).
ERRORS = (
    errno.ESTALE,
    errno.ENOTCONN,
    errno.EIO,
    errno.ETIMEDOUT,
    errno.EREMOTEIO,
    errno.ESHUTDOWN,
    errno.EHOSTDOWN,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EPIPE,
    errno.EROFS,
)
_END = 0


def all_troubles(site: Site, volume: Volume) -> list[tuple[Case, Trouble]]:
    """All that can happen."""
    return [(case, one) for case in CASES for one in _troubles_of(site, volume, case)]


def _troubles_of(site: Site, volume: Volume, case: Case) -> Iterator[Trouble]:
    """Each request that a case needs fails in each way."""
    for number in range(1, len(requests_of(site, volume, case)) + 1):
        for is_done in (False, True):
            yield Trouble(number, _END, is_done)
            for error in ERRORS:
                yield Trouble(number, error, is_done)
                yield Trouble(number, error, is_done, lasts=True)


def requests_of(site: Site, volume: Volume, case: Case) -> list[Asked]:
    """What a case asks the server for when nothing fails."""
    return _deliver(site, volume, case, None, Found())[0]


def play_on(
    volume: Volume, site: Site, case: Case, trouble: Trouble, found: Found
) -> None:
    """One round; what it shows is added to `found`."""
    asked, problems = _deliver(site, volume, case, trouble, found)
    failed = asked[trouble.number - 1] if len(asked) >= trouble.number else None
    found.rounds += 1
    found.hits += failed is not None or trouble.error == _END
    found.broken += [f"{case.name}:{trouble} ({failed}): {one}" for one in problems]


def _deliver(
    site: Site, volume: Volume, case: Case, trouble: Trouble | None, found: Found
) -> tuple[list[Asked], list[str]]:
    site.reset()
    clients = [site.client(name, case.size_bytes) for name in case.mailboxes]
    bystanders = [site.client(BYSTANDER)] if case.has_bystander else []
    everyone = [*clients, *bystanders]
    worker = site.worker()
    site.connect(bystanders)
    volume.fail(trouble)
    site.connect(clients)
    replies = site.converse(clients)
    asked = volume.recover()
    replies += site.converse(bystanders)
    first = [
        site.result(client, reply)
        for client, reply in zip(everyone, replies, strict=True)
    ]
    has_ended = worker not in site.workers()
    is_single = trouble is None or bool(trouble.error and not trouble.lasts)
    judge = Judge(*_as_fault(site, trouble, asked), site.folder)
    judge.first(everyone, _judged(first, is_single=is_single), has_ended=has_ended)
    problems = judge.problems
    count(found, first, has_ended=has_ended)
    site.remove_locks()
    _change_mbox_files(site)
    again = [
        client
        for client, tried in zip(everyone, first, strict=True)
        if not (tried.is_done or tried.is_corrupt)
    ]
    second = _try(site, again)
    judge.second(again, second)
    _change_mbox_files(site)
    later = [site.client(name) for name in case.mailboxes]
    judge.second(
        later,
        [
            replace(tried, copies=site.copies(client), damage="")
            for client, tried in zip(later, _try(site, later), strict=True)
        ],
    )
    undone = [
        one for one, tried in zip(again, second, strict=True) if not tried.is_done
    ]
    for client in everyone:
        copies = site.copies(client)
        if not copies and client not in undone:
            problems.append(f"{client.name}: lost with the next message")
        if copies > 1 and is_single:
            problems.append(f"{client.name}: {copies} copies after one failure")
    if problems:
        problems += [f"logged: {line}" for line in site.last_logged()]
    site.forget([*everyone, *later])
    judge.leaks(site.new_descriptors())
    return asked, problems


def _try(site: Site, clients: Sequence[Client]) -> list[Tried]:
    site.connect(clients)
    replies = site.converse(clients)
    return [
        site.result(client, reply)
        for client, reply in zip(clients, replies, strict=True)
    ]


def _judged(tried: Sequence[Tried], *, is_single: bool) -> list[Tried]:
    """What has been tried; without a server, a part of a message stays for a while."""
    return [
        one if is_single or one.is_done else replace(one, damage="") for one in tried
    ]


def _as_fault(
    site: Site, trouble: Trouble | None, asked: Sequence[Asked]
) -> tuple[Fault | None, Trace]:
    """The request that has failed, as a system call."""
    if trouble is None:
        return None, Trace()
    if len(asked) < trouble.number:
        return Fault("", trouble.number, "END"), Trace()
    name, path = asked[trouble.number - 1]
    call = "fsync" if name in ("FSYNC", "FSYNCDIR") else name.lower()
    error = errno.errorcode[trouble.error]
    arguments = f"<{site.folder / path}>"
    return Fault(call, trouble.number, error), Trace(arguments=arguments)


def _change_mbox_files(site: Site) -> None:
    """As another host may do: the worker does not know any more how they end."""
    for path in site.folder.iterdir():
        if is_mbox(path.name) and path.is_file():
            os.chmod(path, path.stat().st_mode)
