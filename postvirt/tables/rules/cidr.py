"""cidr:/path or cidr:{{RULE}, ...} looks up addresses in networks.

    192.0.2.0/24 RESULT    the first network that contains the address decides
    !2001:db8::/32 RESULT  matches any other address of the same family
    if 192.0.2.0/24        rules up to "endif" count for this network;
    endif                  "if !NETWORK" for other addresses of the same family

A network may be written [ADDRESS]/LENGTH or [ADDRESS/LENGTH]; an address without a
length is a network of one address. `rule_file` says where rules are read from.

virtual(8) looks up mail addresses, which match no network.

Parity: src/util/dict_cidr.c, src/util/cidr_match.c.
Raises: TableError when the file or the text between the braces cannot be read.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import Final, NamedTuple

from postvirt.model.text import text
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.file_value import encoded_files
from postvirt.tables.rules.rule_file import (
    Block,
    EndIf,
    Rule,
    RuleLine,
    files,
    first_answer,
    keyword,
    read_rules,
    skip_negations,
)
from postvirt.tables.syntax import SPACE
from postvirt.tables.table import Table, TableOptions

_SPACE = SPACE.encode()
_BITS = {socket.AF_INET: 32, socket.AF_INET6: 128}


class Address(NamedTuple):
    """An address as a number."""

    family: socket.AddressFamily
    number: int

    @classmethod
    def of(cls, shown: bytes) -> Address:
        """The address in a text; ValueError if it is not one."""
        family = socket.AF_INET6 if b":" in shown else socket.AF_INET
        try:
            packed = socket.inet_pton(family, shown.decode("ascii"))
        except OSError:
            raise ValueError(shown) from None
        return cls(family, int.from_bytes(packed))

    def __str__(self) -> str:
        packed = self.number.to_bytes(_BITS[self.family] // 8)
        return socket.inet_ntop(self.family, packed)


class _Network:
    __slots__ = ("base", "mask", "negated")

    def __init__(self, base: Address, mask: int, *, negated: bool) -> None:
        self.base: Final = base
        self.mask: Final = mask
        self.negated: Final = negated

    def matches(self, address: Address) -> bool:
        """Whether the rule matches; never an address of another family."""
        if address.family != self.base.family:
            return False
        return (address.number & self.mask == self.base.number) != self.negated


class _NetworkRule:
    __slots__ = ("network", "result")

    def __init__(self, network: _Network, result: bytes) -> None:
        self.network: Final = network
        self.result: Final = result

    def answer(self, subject: Address) -> bytes | None:
        """The result if the network matches, else None."""
        return self.result if self.network.matches(subject) else None


def _rule_or_none(
    line: RuleLine, *, file_values: bool
) -> Rule[Address] | Block[Address] | EndIf | None:
    try:
        return _rule(line, file_values=file_values)
    except ValueError as error:
        line.tell(f"{error}: skipping this rule")
        return None


def _rule(
    line: RuleLine, *, file_values: bool
) -> Rule[Address] | Block[Address] | EndIf:
    """The rule in a line; ValueError says what is wrong with it."""
    word = keyword(line.text)
    if word == "endif":
        if line.text[len(b"endif") :].strip(_SPACE):
            raise ValueError("garbage after ENDIF")
        if line.level == 0:
            raise ValueError("ENDIF without IF")
        return EndIf()
    negated, at = skip_negations(line.text, len(b"if") if word == "if" else 0)
    rest = line.text[at:]
    if not rest:
        raise ValueError("no address pattern")
    if word == "if":
        return Block(line, _network(rest, negated=negated).matches)
    pattern, *result = rest.split(None, 1)
    network = _network(pattern, negated=negated)
    if not result:
        raise ValueError("no lookup result")
    if file_values:
        result = [encoded_files(result[0])]
    return _NetworkRule(network, result[0])


def _network(pattern: bytes, *, negated: bool) -> _Network:
    address, slash, length = _split(pattern)
    family = socket.AF_INET6 if b":" in address else socket.AF_INET
    bits = _BITS[family]
    if not slash:
        try:
            base = Address.of(address)
        except ValueError:
            shown = text(address)
            raise ValueError(f'bad address pattern: "{shown}"') from None
        return _Network(base, (1 << bits) - 1, negated=negated)
    shown = f'"{text(address)}/{text(length)}"'
    if not length.isdigit():
        raise ValueError(f"bad mask value in {shown}")
    prefix = int(length.lstrip(b"0")[:4] or b"0")
    if prefix > bits:
        raise ValueError(f"bad mask length in {shown}")
    try:
        base = Address.of(address)
    except ValueError:
        raise ValueError(f"bad network value in {shown}") from None
    mask = (1 << bits) - (1 << (bits - prefix))
    if base.number & ~mask:
        better = Address(family, base.number & mask)
        raise ValueError(
            f"non-null host address bits in {shown},"
            f' perhaps you should use "{better}/{prefix}" instead'
        )
    return _Network(base, mask, negated=negated)


def _split(pattern: bytes) -> tuple[bytes, bytes, bytes]:
    """The address, the "/" and the length; without the brackets."""
    if not pattern.startswith(b"["):
        return pattern.partition(b"/")
    inside, bracket, rest = pattern[1:].partition(b"]")
    if not bracket:
        raise ValueError(f"missing ']' character after \"[{text(inside)}\"")
    if rest.startswith(b"/"):
        return inside, b"/", rest[1:]
    if rest:
        raise ValueError(f'garbage after "[{text(inside)}]"')
    return inside.partition(b"/")


class CidrTable(Table):
    """Networks in order."""

    fixed = False

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        super().__init__(type_, name, options)
        parse = partial(_rule_or_none, file_values=options.file_values)
        self._rules = read_rules(type_, name, parse, context.complain)

    def find(self, key: bytes) -> bytes | None:
        """Try the networks in order; a key that is not an address is not found."""
        try:
            address = Address.of(key)
        except ValueError:
            return None
        return first_answer(self._rules, address)


TYPE = TableType(CidrTable, files, is_text=True)
