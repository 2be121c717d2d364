"""What aliases make of an address; with cleanup(8): tests/postfix/test_aliases.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from postvirt.config.load import load
from postvirt.errors import ConfigError, TableError
from postvirt.routing.aliases import AliasMaps, addresses_in
from postvirt.standin.instance import Instance
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener

Make = Callable[..., AliasMaps]


@pytest.fixture
def aliases(instance: Instance) -> Iterator[Make]:
    """AliasMaps with these parameters."""
    opened: list[OpenTables] = []

    def make(**parameters: str) -> AliasMaps:
        instance.main_cf(parameters)
        loaded = load(str(instance.etc), process_name="virtual", service_name="v")
        opened.append(OpenTables(TableOpener.of(loaded.settings, loaded.texts)))
        is_local = b"local.example".__eq__
        return AliasMaps(loaded.settings, loaded.texts, opened[-1], is_local)

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (b"", []),
        (b" , ", []),
        (b"a@b", [b"a@b"]),
        (b"a@b, c@d e@f,g", [b"a@b", b"c@d", b"e@f", b"g"]),
        (b'"a, b"@c', [b"a, b@c"]),
        (b"Some Body <a@b>, <c@d>", [b"a@b", b"c@d"]),
        (b"<>", []),
        (b'"', []),
    ],
)
def test_the_addresses_of_a_value(value: bytes, addresses: list[bytes]) -> None:
    assert list(addresses_in(value)) == addresses


def test_every_entry_on_the_way_is_kept(aliases: Make) -> None:
    made = aliases(
        virtual_alias_maps="inline:{{@x.org = b@y.org}, {b@y.org = c@z.org}}"
    )
    found = made.expand(b"A@x.org")
    assert found.recipients == (b"c@z.org",)
    assert [(one.address, one.key, one.value) for one in found.aliases] == [
        (b"A@x.org", b"@x.org", b"b@y.org"),
        (b"b@y.org", b"b@y.org", b"c@z.org"),
    ]
    assert found.aliases[0].table.startswith("inline:{")


def test_no_table(aliases: Make) -> None:
    made = aliases(virtual_alias_maps="")
    assert made.expand(b"a@x.org") == ((b"a@x.org",), ())


def test_an_extension_is_not_propagated_if_that_is_not_wanted(aliases: Make) -> None:
    maps = {
        "virtual_alias_maps": "inline:{a@x.org=b@y.org}",
        "recipient_delimiter": "+",
    }
    with_extension = aliases(**maps).expand(b"a+e@x.org")
    assert with_extension.recipients == (b"b+e@y.org",)
    without = aliases(**maps, propagate_unmatched_extensions="canonical")
    assert without.expand(b"a+e@x.org").recipients == (b"b@y.org",)


@pytest.mark.parametrize(
    ("parameters", "trouble"),
    [
        (
            {"virtual_alias_maps": "inline:{{a@x.org=b@x.org}, {b@x.org=a@x.org}}"},
            "unreasonable virtual_alias_maps map nesting for a@x.org",
        ),
        (
            {
                "virtual_alias_maps": "inline:{{a@x.org = b@x.org c@x.org d@x.org}}",
                "virtual_alias_expansion_limit": "2",
            },
            "unreasonable virtual_alias_maps map expansion size for a@x.org",
        ),
        (
            {
                "virtual_alias_maps": "inline:{a@x.org=longer@x.org}",
                "virtual_alias_address_length_limit": "9",
            },
            "unreasonable virtual_alias_maps result longer@x.org...",
        ),
        ({"virtual_alias_maps": "inline:{{a@x.org = ,}}"}, "non-address result"),
        ({"virtual_alias_maps": "fail:x"}, "fail:x"),
    ],
)
def test_what_cleanup_does_not_accept(
    aliases: Make, parameters: dict[str, str], trouble: str
) -> None:
    with pytest.raises(TableError, match=trouble.replace("...", r"\.\.\.")):
        aliases(**parameters).expand(b"a@x.org")


def test_a_limit_that_is_no_number(aliases: Make) -> None:
    with pytest.raises(ConfigError, match="bad numerical configuration"):
        aliases(virtual_alias_recursion_limit="many")
