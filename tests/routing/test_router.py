"""Which transport mail takes: as the genuine trivial-rewrite(8) answers."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.config.load import load
from postvirt.errors import TableError
from postvirt.routing.router import Route, Router, tables_of_routing
from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener

LISTS = {
    "mydestination": "localhost, local.example",
    "myorigin": "origin.example",
    "virtual_alias_domains": "alias.example",
    "virtual_mailbox_domains": "box.example, mail.parent.example, none.example",
    "relay_domains": "relay.example",
    "recipient_delimiter": "+",
}
TRANSPORTS = {
    "user@box.example": "smtp:whole",
    '"q x"@box.example': "smtp:quoted",
    "r s@box.example": "smtp:unquoted",
    "mail.parent.example": ":nexthop",
    "parent.example": "smtp:parent",
    ".parent.example": "smtp:below",
    "below.example": "smtp:without-a-dot",
    "none.example": ":",
    "error.example": "error:gone",
    "discard.example": "discard",
    "alias.example": "smtp:never-asked",
}
ADDRESSES = [
    b"user@box.example",
    b"USER+ext@Box.Example",
    b"other@box.example",
    b"q x@box.example",
    b"q x+ext@box.example",
    b"r s@box.example",
    b"x@mail.parent.example",
    b"x@parent.example",
    b"x@deep.mail.parent.example",
    b"x@very.below.example",
    b"x@none.example",
    b"x@error.example",
    b"x@discard.example",
    b"x@alias.example",
    b"x@local.example",
    b"x@origin.example",
    b"x@relay.example",
    b"x@below.relay.example",
    b"x@[127.0.0.1]",
    b"x@elsewhere.example",
    b"x@pattern.example",
    b"x+ext@pattern.example",
]
# The address class in a reply: RESOLVE_CLASS_*.
CLASSES = {
    256: "mydestination",
    512: "virtual_alias_domains",
    1024: "virtual_mailbox_domains",
    2048: "relay_domains",
    4096: "",
}
CASES = {
    "plain": {},
    "parents": {"parent_domain_matches_subdomains": "transport_maps"},
    "everything": {"*": "smtp:all"},
}


@pytest.fixture(scope="module", params=CASES)
def queue_directory(
    request: pytest.FixtureRequest, instance: Instance
) -> Iterator[Path]:
    """The queue of a running Postfix with these lists and transports."""
    parameters = dict(CASES[request.param])
    everything = {key: parameters.pop(key) for key in ("*",) if key in parameters}
    table = instance.add_table("texthash", "transport", TRANSPORTS | everything)
    (instance.etc / "patterns").write_text("/^x@pattern/ smtp:pattern\n")
    maps = {"transport_maps": f"{table}, regexp:{instance.etc}/patterns"}
    program = Path("/usr/lib/postfix/sbin/virtual")
    with PrivatePostfix(instance, program, LISTS | maps | parameters):
        yield instance.spool
    shutil.rmtree(instance.root / "daemons")


@pytest.mark.postfix
def test_as_trivial_rewrite_answers(queue_directory: Path, instance: Instance) -> None:
    router = router_of(instance)
    for address in ADDRESSES:
        expected = resolved(queue_directory, address)
        route = router.route(address)
        assert route.service.encode() == expected["transport"], address
        assert route.domain_class == CLASSES[int(expected["flags"])], address
        nexthop = nexthop_of(route, address)
        if route.domain_class != "virtual_alias_domains":
            assert nexthop == expected["nexthop"], address


def nexthop_of(route: Route, address: bytes) -> bytes:
    """As transport(5) has it, for what an entry does not say."""
    written = (route.entry.value if route.entry else "").partition(":")[2]
    named = written or route.transport.partition(":")[2]
    return named.encode() or address.rpartition(b"@")[2]


def router_of(instance: Instance) -> Router:
    loaded = load(str(instance.etc), (), process_name="virtual", service_name="virtual")
    tables = TableOpener.of(loaded.settings, loaded.texts)
    tables.prepare(tables_of_routing(loaded.settings, loaded.texts))
    return Router(loaded.settings, loaded.texts, OpenTables(tables))


def test_the_entry_that_decides_is_named(instance: Instance) -> None:
    table = instance.add_table("texthash", "transport", {"box.example": "smtp:[::1]"})
    instance.main_cf(
        {
            "virtual_mailbox_domains": "box.example",
            "transport_maps": f"inline:{{a=b}}, {table}",
        }
    )
    route = router_of(instance).route(b"bob@box.example")
    assert (route.parameter, route.service) == ("transport_maps", "smtp")
    assert route.entry is not None
    assert (route.entry.table, route.entry.key) == (table, b"box.example")


def test_an_entry_may_leave_the_transport_alone(instance: Instance) -> None:
    instance.main_cf(
        {
            "virtual_mailbox_domains": "box.example",
            "virtual_transport": "lmtp:unix:private/box",
            "transport_maps": "inline:{box.example=:elsewhere}",
        }
    )
    route = router_of(instance).route(b"bob@box.example")
    assert (route.parameter, route.service) == ("virtual_transport", "lmtp")
    assert route.entry is not None
    assert route.entry.transport == ""


def test_a_table_that_fails_is_no_answer(instance: Instance) -> None:
    instance.main_cf({"transport_maps": "fail:out-of-order"})
    with pytest.raises(TableError):
        router_of(instance).route(b"bob@box.example")


def resolved(queue_directory: Path, address: bytes) -> dict[str, bytes]:
    """What trivial-rewrite(8) answers for an address: transport, nexthop, flags."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(queue_directory / "private" / "rewrite"))
        _attributes(client)  # the announcement of the protocol
        request = (b"request", b"resolve", b"sender", b"", b"address", address)
        client.sendall(b"".join(one + b"\0" for one in request) + b"\0")
        return _attributes(client)


def _attributes(client: socket.socket) -> dict[str, bytes]:
    """Names and values up to an empty name."""
    received = b""
    while not received.endswith(b"\0\0") or len(received.split(b"\0")) % 2:
        piece = client.recv(4096)
        assert piece, received
        received += piece
    words = received.split(b"\0")[:-2]
    return {
        name.decode(): value
        for name, value in zip(words[::2], words[1::2], strict=True)
    }
