"""What fails while mail comes, each followed by its recovery, without a person.

Each failure is a function of the site and of the number of the round. It waits until
new mail flows where it can, repairs, and waits until all flows again; what it returns
says how long that took, in seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

from tests.cluster.mail_host import MailHost
from tests.cluster.site import NAMES, Site, wait_until

Seconds = dict[str, float]

_NOTHING: Mapping[str, str] = MappingProxyType({})
# Less than stale_lock_time, as they must.
_MINUTES_APART = 4 * 60


class Failure(NamedTuple):
    """A failure, and what main.cf of the hosts says for it."""

    happens: Callable[[Site, int], Seconds]
    parameters: Mapping[str, str] = _NOTHING


def network(site: Site, number: int) -> Seconds:
    """A host loses its network, and gets it back."""
    host = _next(site, number)
    host.machine.cut()
    others = site.wait_for_new_mail(host)
    time.sleep(site.outage_seconds)
    host.machine.reconnect()
    return {"the others wait": others, **site.recovery()}


def host(site: Site, number: int) -> Seconds:
    """A host is killed, its queue is started elsewhere, and later where it was."""
    dead = _next(site, number)
    home, elsewhere = dead.machine, _next(site, number + 1).machine
    site.kill(dead)
    others = site.wait_for_new_mail(dead)
    elsewhere_seconds = _seconds(lambda: dead.move_to(elsewhere))
    recovery = site.recovery()
    site.start_again(home)
    dead.stop()
    dead.move_to(home)
    at_home = site.recovery()
    return {
        "the others wait": others,
        "start elsewhere": elsewhere_seconds,
        **recovery,
        **{f"{name} at home": seconds for name, seconds in at_home.items()},
    }


def clocks(site: Site, number: int) -> Seconds:
    """The clocks differ by minutes, and then agree again."""
    for index, one in enumerate(site.hosts):
        one.clock.set(_MINUTES_APART * ((index + number) % 3 - 1))
    time.sleep(site.outage_seconds)
    apart = site.wait_for_new_mail()
    for one in site.hosts:
        one.clock.set(0)
    return {"apart": apart, **site.recovery()}


def row(site: Site, number: int) -> Seconds:
    """A mailbox moves: a row changes while mail for it comes."""
    address = list(site.places)[number % len(site.places)]
    old = site.places[address][0]
    new = f"moved-{number}-{old}"
    site.places[address].insert(0, new)
    site.database.move_mailbox(address, new)
    known = wait_until(
        lambda: _hosts_of_mail_in(site, new) == set(NAMES), "it is known"
    )
    return {"all hosts know it": known, **site.recovery()}


def name(site: Site, number: int) -> Seconds:
    """All machines have the same name for a while."""
    for one in site.hosts:
        one.machine.run("hostname", "same")
        one.restart()
    time.sleep(site.outage_seconds)
    seconds = site.wait_for_new_mail()
    for one in site.hosts:
        one.machine.run("hostname", one.name)
        one.restart()
    return {"one name": seconds, **site.recovery()}


FAILURES = {
    "network": Failure(network),
    "row": Failure(row),
    # A dot lock of the dead host is in the way for so long.
    "host": Failure(host, {"stale_lock_time": "20s"}),
    "clocks": Failure(clocks),
    "name": Failure(name),
}


def _next(site: Site, number: int) -> MailHost:
    return site.hosts[number % len(site.hosts)]


def _hosts_of_mail_in(site: Site, path: str) -> set[str]:
    """The hosts that have accepted the mail in a mailbox."""
    mailbox = site.seen(path)
    text = b""
    for one in mailbox.glob("new/*") if path.endswith("/") else [mailbox]:
        with suppress(FileNotFoundError):
            text += one.read_bytes()
    return set(re.findall(r"by (\w+)\.example\.org", text.decode()))


def _seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began
