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
from tests.cluster.replicated import Replicated
from tests.cluster.site import NAMES, Site
from tests.cluster.waiting import wait_until

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
    moved = site.move()
    known = wait_until(lambda: _hosts_of_mail_in(site, moved) == set(NAMES), "known")
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


def storage(site: Site, number: int) -> Seconds:
    """A machine that keeps a copy of the mailboxes is killed, and comes back."""
    nodes = site.volume.nodes
    node = nodes[number % len(nodes)]
    site.move_all()
    site.volume.fail_node(node)
    is_only_one = len(nodes) == 1
    missing = 0.0 if is_only_one else site.wait_for_new_mail()
    time.sleep(site.outage_seconds)
    site.volume.recover_node(node)
    return {"it is missed": missing, **site.recovery(), **_healing(site)}


def split(site: Site, number: int) -> Seconds:
    """A host is alone with a copy of the mailboxes and one of the database."""
    host = _next(site, number)
    node = site.volume.nodes[number % len(site.volume.nodes)]
    site.move_all()
    for machine in (host.machine, node):
        machine.cut()
    others = site.wait_for_new_mail(host)
    time.sleep(site.outage_seconds)
    for machine in (host.machine, node):
        machine.reconnect()
    return {"the others wait": others, **site.recovery(), **_healing(site)}


def power(site: Site, number: int) -> Seconds:
    """All machines that keep the mailboxes lose their power, and come back.

    Each may have another dot lock of one name then, and a person has to choose one.
    """
    site.deliver_to_maildirs_only()
    nodes = site.volume.nodes
    site.volume.fail_node(*nodes)
    time.sleep(site.outage_seconds)
    for node in nodes:
        site.volume.recover_node(node)
    return {**site.recovery(), **_healing(site)}


def _healing(site: Site) -> Seconds:
    return {"copies are equal": site.volume.wait_until_healed()}


def database(site: Site, number: int) -> Seconds:
    """A server of the database is killed, and started again."""
    machine = _next(site, number).machine
    _replicated(site).fail_node(machine)
    missing = site.wait_for_new_mail()
    time.sleep(site.outage_seconds)
    back = _seconds(lambda: _replicated(site).recover_node(machine))
    return {"it is missed": missing, "it is back": back, **site.recovery()}


def primary(site: Site, number: int) -> Seconds:
    """Another server becomes the primary."""
    former = _replicated(site).primary
    _replicated(site).change_primary()
    missing = site.wait_for_new_mail()
    time.sleep(site.outage_seconds)
    _replicated(site).recover_node(former)
    return {"it is missed": missing, **site.recovery()}


def lag(site: Site, number: int) -> Seconds:
    """A server of the database lags, while a mailbox is new, and another moves."""
    servers = _replicated(site)
    others = [one for one in site.machines if one is not servers.primary]
    behind = others[number % len(others)]
    servers.hold_back(behind)
    with site.new_mailbox(number):
        site.wait_for_new_mail()
        moved = site.move()
        time.sleep(site.outage_seconds)
        servers.catch_up(behind)
        known = wait_until(
            lambda: _hosts_of_mail_in(site, moved) == set(NAMES), "known"
        )
    return {"all hosts know it": known, **site.recovery()}


def hang(site: Site, number: int) -> Seconds:
    """A server of the database accepts connections and says nothing, for a while."""
    machine = _next(site, number).machine
    _replicated(site).hang_node(machine)
    time.sleep(site.outage_seconds)
    others = site.wait_for_new_mail(_next(site, number))
    _replicated(site).wake_node(machine)
    _replicated(site).wait_for(machine)
    return {"the others wait": others, **site.recovery()}


def _replicated(site: Site) -> Replicated:
    assert isinstance(site.database, Replicated)
    return site.database


FAILURES = {
    "network": Failure(network),
    "row": Failure(row),
    "host": Failure(host),
    "clocks": Failure(clocks, {"stale_lock_time": "500s"}),
    "name": Failure(name),
}
STORAGE_FAILURES = {
    "storage": Failure(storage),
    "power": Failure(power),
    "split": Failure(split),
}
DATABASE_FAILURES = {
    "database": Failure(database),
    "primary": Failure(primary),
    "lag": Failure(lag),
    "hang": Failure(hang),
}
ALL_FAILURES = FAILURES | STORAGE_FAILURES | DATABASE_FAILURES


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
