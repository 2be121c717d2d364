"""The command line that master(8) gives a server process.

Parity: the option letters and the order of checks of src/master/single_server.c.
Differs: Arguments of the daemon. Surplus arguments in master.cf end the process when it
    starts; virtual(8) notices them with the first client.
Raises: ConfigError with the text that Postfix calls fatal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from postvirt.config.load import parse_override
from postvirt.errors import ConfigError

_LETTERS = "cdDi:lm:n:o:r:s:St:uvVz"
_TRANSPORTS = ("inet", "unix", "pass")

# What atoi(3) reads from a string.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+")
_MOST_CHARACTERS = 1000  # of a number; int() refuses more than 4300


class Options(NamedTuple):
    """The options from the command line and the environment.

    process_name     basename of the program as it was started (argv[0])
    service_name     -n, the first column of master.cf
    transport        -t, the second column; "" with -S
    overrides        -o, -i and -m in their order, as (name, value)
    socket_count     -s, the number of listen sockets
    serves_stdin     -S, one client on standard input and output
    wants_chroot     -c
    wants_debugger   -D
    by_hand          -d, a terminal is allowed
    verbose          the number of -v
    logs_to_stderr   -V
    arguments        the remaining ones; virtual accepts none
    generation       of master(8)'s status records
    """

    process_name: str
    service_name: str
    transport: str
    overrides: tuple[tuple[str, str], ...]
    socket_count: int
    serves_stdin: bool
    wants_chroot: bool
    wants_debugger: bool
    by_hand: bool
    verbose: int
    logs_to_stderr: bool
    arguments: tuple[str, ...]
    generation: int


def parse_options(argv: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read the command line; argv[0] is the program."""
    process_name = os.path.basename(argv[0])
    last: dict[str, str] = {}
    overrides: list[tuple[str, str]] = []
    socket_count = 1
    verbose = int("MAIL_VERBOSE" in environment)
    arguments = list(argv[1:])
    while arguments and arguments[0].startswith("-") and arguments[0] != "-":
        # One option at a time: the first mistake is the one that is reported.
        letter, value, arguments = _next_option(arguments)
        last[letter] = value
        match letter:
            case "i":
                overrides.append(("max_idle", value))
            case "m":
                overrides.append(("max_use", value))
            case "o":
                overrides.append(parse_override(value))
            case "r":
                _positive(value, "retirement time")
            case "s":
                socket_count = _positive(value, "socket_count")
            case "v":
                verbose += 1
            case "-":
                break
    service_name = last.get("n", process_name)
    options = Options(
        process_name=process_name,
        service_name=service_name,
        transport=last.get("t", ""),
        overrides=tuple(overrides),
        socket_count=socket_count,
        serves_stdin="S" in last,
        wants_chroot="c" in last,
        wants_debugger="D" in last or "MAIL_DEBUG" in environment,
        by_hand="d" in last,
        verbose=verbose,
        logs_to_stderr="V" in last,
        arguments=tuple(arguments),
        generation=_generation(environment.get("GENERATION", "0")),
    )
    if "u" in last:
        raise ConfigError(f"service {service_name} requires privileged operation")
    if not options.serves_stdin:
        _check_transport(options.transport, is_given="t" in last)
    return options


def _next_option(arguments: list[str]) -> tuple[str, str, list[str]]:
    """The first option's letter and value, and the arguments that follow it.

    The letter is "-" for the "--" that ends the options.
    """
    letters, rest = arguments[0][1:], arguments[1:]
    letter, attached = letters[0], letters[1:]
    if letters == "-":
        return "-", "", rest
    if letter not in _LETTERS or letter == ":":
        raise ConfigError(f"invalid option: {letter}")
    if _LETTERS[_LETTERS.index(letter) + 1 :].startswith(":"):
        if not attached and not rest:
            raise ConfigError(f"invalid option: {letter}")
        return (letter, attached, rest) if attached else (letter, rest[0], rest[1:])
    return letter, "", [f"-{attached}", *rest] if attached else rest


def _positive(value: str, what: str) -> int:
    found = _NUMBER.match(value)
    number = int(found[0]) if found and len(found[0]) <= _MOST_CHARACTERS else 0
    if number <= 0:
        raise ConfigError(f"invalid {what}: {value}")
    return number


def _generation(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ConfigError(f"bad generation: {value}")
    generation = 0
    for digit in value:
        generation = (generation << 3 | int(digit)) & 0xFFFF_FFFF
    return generation


def _check_transport(transport: str, *, is_given: bool) -> None:
    if not is_given:
        raise ConfigError("no transport type specified")
    if transport.lower() not in _TRANSPORTS:
        raise ConfigError(f"unsupported transport type: {transport}")
