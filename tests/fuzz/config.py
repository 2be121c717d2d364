"""main.cf, master.cf, and the command line of a Postfix daemon."""

from __future__ import annotations

from collections.abc import Mapping

from postvirt.config import evaluation, expansion, load, main_cf, master_cf
from postvirt.config.daemon_options import parse_options
from postvirt.config.expansion import expand, scan
from postvirt.config.rows import Parameter
from postvirt.config.types import Value
from postvirt.errors import ConfigError
from postvirt.inspection.mailboxes import dovecot
from postvirt.model.text import text
from tests.fuzz.target import Target, directory, outcome, write

_DIRECTORY = directory()

# More only take longer.
_MOST_REFERENCES = 500


def fuzz_main_cf(data: bytes) -> None:
    """Every assignment has a place in the file."""
    parsed = main_cf.parse(text(data), "main.cf", {})
    for one in parsed.assignments:
        parsed.name_origin(one)
        for offset in range(0, len(one.value) + 1, 1 + len(one.value) // 4):
            parsed.value_origin(one, offset)


def fuzz_expansion(data: bytes) -> None:
    """Values that refer to each other; the lines are a, b, and so on."""
    expansion.MAX_REFERENCES = _MOST_REFERENCES
    lines = text(data).split("\n")
    values = {chr(ord("a") + number): line for number, line in enumerate(lines[:26])}
    outcome(lambda: expand(lines[0], values.get, "a"), ConfigError)
    scan(lines[0], values.get, "a")


def fuzz_settings(data: bytes) -> None:
    """All parameters, as a delivery agent reads them; `check` raises nothing."""
    evaluation._value = _value_once
    expansion.MAX_REFERENCES = _MOST_REFERENCES
    write(_DIRECTORY / "main.cf", data)
    load.check(str(_DIRECTORY), (), process_name="virtual", service_name="virtual")


_evaluate = evaluation._value
_defaults: dict[str, Value] = {}


def _value_once(
    row: Parameter,
    known: dict[str, str],
    fixed: Mapping[str, str],
    values: Mapping[str, Value],
    hostname: str,
) -> Value:
    """The value of a parameter; a default that refers to nothing is always the same."""
    if (
        row.name in known
        or row.name in {"myhostname", "mydomain"}
        or row.kind == "fixed"
        or "$" in row.default
    ):
        return _evaluate(row, known, fixed, values, hostname)
    known[row.name] = row.default
    if row.name not in _defaults:
        _defaults[row.name] = _evaluate(row, known, fixed, values, hostname)
    return _defaults[row.name]


def fuzz_master_cf(data: bytes) -> None:
    """Every service has names, options and a place."""
    parsed = master_cf.parse(text(data), "master.cf")
    for service in parsed.services:
        assert service.origin.line > 0
        assert len(service.overrides) == len(service.options)
    for agent in parsed.delivery_agents():
        assert agent in parsed.services


def fuzz_options(data: bytes) -> None:
    """The command line that master(8) makes of an entry in master.cf."""
    words = text(data).split("\0")
    outcome(lambda: parse_options(["virtual", *words], {}), ConfigError)


def fuzz_dovecot(data: bytes) -> None:
    """A file of Dovecot's, without files that it includes."""
    path = _DIRECTORY / "dovecot.conf"
    write(path, data.replace(b"!include", b""))
    dovecot.uses_mbox(dovecot.settings_of(str(path)))


_MAIN_CF = b"""\
virtual_mailbox_base = /v
virtual_mailbox_maps = hash:/x, inline:{a=b}
virtual_minimum_uid = 1
ipc_timeout = 5s
myhostname = $mydomain
mydomain = a.b
mynetworks_style = host
postvirt_workers = 3
"""
_MORE_OF_MAIN_CF = b"""\
virtual_mailbox_lock = fcntl
fast_flush_domains = !/x, {a b}
mail_owner = nobody
hash_queue_names = a b
delay_logging_resolution_limit = 6
postvirt_metrics_address = 127.0.0.1:1
myorigin = /etc/mailname
"""
_MASTER_CF = b"""\
virtual unix - n n - 10 virtual -o { a = b } -o c=d
  -v {x y}
2525 inet n y n 60? 1 smtpd
"""
_DOVECOT = b"""\
mail_location = mbox:~/mail # x
protocol a {
 b = c
}
mail_driver = m
"""

TARGETS = (
    Target(
        fuzz_main_cf,
        [
            b"# a\nmail_name = ${{$compatibility_level} <level {1} ? {no} : {yes}}\n",
            b"a = b\n  c\n#\n d = $e\na =\n=\nx\n   \n",
        ],
        longest=500,
    ),
    Target(
        fuzz_expansion,
        [
            b"$b${c?{d}:{e}}${f:g}$(h) $$\n${{$c} == {x} ? {1}}\n$a",
            b"${domain_to_ascii{$b}}${domain_to_utf8{xn--a}}\n\xc3\xa4.b",
            b"$b$b$b\n$c$c$c\n${d}$(d)\nx",
        ],
        longest=300,
    ),
    Target(fuzz_settings, [_MAIN_CF, _MORE_OF_MAIN_CF], longest=300),
    Target(fuzz_master_cf, [_MASTER_CF], longest=300),
    Target(
        fuzz_options,
        [b"-n\0virtual\0-t\0unix\0-o\0a=b\0-u\0-z\0-l\0-i\x001h\0-m\x003\0-s\x001"],
        longest=400,
    ),
    Target(fuzz_dovecot, [_DOVECOT], longest=1024),
)
