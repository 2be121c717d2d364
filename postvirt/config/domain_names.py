"""${domain_to_ascii{...}} and ${domain_to_utf8{...}}: the two forms of a domain name.

Postfix has them since 3.11 and uses the ICU library: UTS #46, not transitional, and
the result must be a host name. The codec "idna" of the standard library cannot be used
here because it has only the rules of 2003, by which "straße" and "strasse" are the same
name. So a name that must be converted requires the optional package idna; other names
do not.

Parity: src/util/midna_domain.c and src/global/mac_midna.c of Postfix 3.11.
Differs: One warning for a domain name. A domain name that ${domain_to_ascii{...}} or
    ${domain_to_utf8{...}} cannot convert is one warning; Postfix logs two.
Raises: ValueError with the text to warn with.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from postvirt.config.hostnames import hostname_problem

_MISSING = "the Python package idna is not installed"
_ACE_PREFIX = "xn--"


def _to_ascii(name: str) -> str:
    if name.isascii():
        return name
    converted: bytes = _idna().encode(name, uts46=True, transitional=False)
    return _checked(converted.decode("ascii"))


def _to_utf8(name: str) -> str:
    if not name.isascii():
        return name
    if _ACE_PREFIX not in name.lower():
        return _checked(name.lower())
    converted: str = _idna().decode(name, uts46=True)
    return converted


def _idna() -> ModuleType:
    try:
        return import_module("idna")
    except ImportError:
        raise ValueError(_MISSING) from None


def _checked(name: str) -> str:
    if hostname_problem(name):
        raise ValueError(hostname_problem(name))
    return name


def _function(name: str, convert: Callable[[str], str]) -> Callable[[str], str]:
    def call(argument: str) -> str:
        try:
            return convert(argument)
        except ValueError as error:  # UnicodeError and idna's own are ValueErrors
            text = f"bad domain argument in: '{name}{{{argument}}}'"
            raise ValueError(f"{text} ({error})") from None

    return call


FUNCTIONS: dict[str, Callable[[str], str]] = {
    "domain_to_ascii": _function("domain_to_ascii", _to_ascii),
    "domain_to_utf8": _function("domain_to_utf8", _to_utf8),
}
