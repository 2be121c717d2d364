"""master.cf as typed services, each with its place in the file.

Parity: src/master/master_ent.c for the fields and the texts, readlines in
src/util/readlline.c, pcf_parse_master_entry in src/postconf/postconf_master.c for the
form of the arguments.
Differs: Numbers in master.cf. A number of master.cf that is followed by other
    characters is an error, as with postconf(1); master(8) reads the digits and ignores
    the rest.
Raises: nothing while it is parsed; what is wrong is a ConfigError in the result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from postvirt.config import usual
from postvirt.config.braces import braced, items
from postvirt.config.config_files import directory_of, text_of
from postvirt.config.grammar import parser
from postvirt.config.logical_lines import SPACE, join, origin, orphan, position
from postvirt.config.main_cf import split_nameval
from postvirt.errors import ConfigError
from postvirt.model.origin import Origin

if TYPE_CHECKING:
    from lark import Token

TYPES = ("inet", "unix", "fifo", "pass", "unix-dgram")

# The programs that deliver to virtual mailboxes: virtual(8), which may be postvirt's
# launcher under its name, and the launcher under its own.
DELIVERY_AGENTS = ("virtual", "postvirt-virtual")

# master(8)'s names of the fields.
_FIELDS = (
    "name",
    "transport type",
    "private",
    "unprivileged",
    "chroot",
    "wakeup_time",
    "max_proc",
    "command",
)
_BLANKS = " \t\r\n"
_DIGITS = re.compile("[0-9]{1,9}")


class Option(NamedTuple):
    """`-o name=value`, and the place of its value."""

    name: str
    value: str
    origin: Origin


class Service(NamedTuple):
    """One entry; None is "-", the default.

    type            as in `TYPES`
    unprivileged    runs with the rights of mail_owner
    wakeup_seconds  0 means never
    wakes_if_used   the "?": wake up only a service that was used before
    process_limit   0 means no limit
    command         the program, in daemon_directory
    arguments       those of the program, without braces; options in the form "-o",
                    "name=value"
    options         the -o among the arguments
    origin          the place where the entry begins
    """

    name: str
    type: str
    private: bool | None
    unprivileged: bool | None
    chroot: bool | None
    wakeup_seconds: int | None
    wakes_if_used: bool
    process_limit: int | None
    command: str
    arguments: tuple[str, ...]
    options: tuple[Option, ...]
    origin: Origin

    @property
    def program(self) -> str:
        """The command without its directory."""
        return os.path.basename(self.command)

    @property
    def is_delivery_agent(self) -> bool:
        """Whether it delivers to virtual mailboxes."""
        return self.program in DELIVERY_AGENTS

    @property
    def overrides(self) -> tuple[tuple[str, str], ...]:
        """The -o options as (name, value), in order."""
        return tuple([(option.name, option.value) for option in self.options])


class MasterCf(NamedTuple):
    """The contents of a master.cf.

    services   the correct entries, in the order of the file
    problems   master(8) stops at the first with severity "error"
    """

    path: str
    services: tuple[Service, ...]
    problems: tuple[ConfigError, ...]

    def entry(self, name: str) -> Service | None:
        """The service that the queue manager connects to as a transport of this name.

        A service of type inet cannot be one.
        """
        for service in self.services:
            if service.name == name and service.type != "inet":
                return service
        return None

    def delivery_agents(self) -> tuple[Service, ...]:
        """The services that deliver to virtual mailboxes, in the order of the file."""
        return tuple([one for one in self.services if one.is_delivery_agent])


def read_master_cf(config_directory: str | None = None) -> MasterCf:
    """The services of a master.cf, and its mistakes.

    Raises: ConfigError when the file cannot be read.
    """
    path = f"{directory_of(config_directory)}/master.cf"
    return parse(text_of(path), path)


def parse(text: str, path: str) -> MasterCf:
    """Parse the text of the master.cf at `path`; the path is for messages only."""
    services: list[Service] = []
    problems: list[ConfigError] = []
    for line in _lines(text):
        if not isinstance(line, _Line):
            problems.append(orphan(line, path))
            continue
        try:
            services.append(_Entry(line.text, line.begin, text, path).service())
        except ConfigError as error:
            problems.append(error)
    return MasterCf(path, tuple(services), tuple(problems))


class _Line(NamedTuple):
    """A logical line, and where it begins in the file."""

    text: str
    begin: int


def _lines(text: str) -> Iterator[_Line | Token]:
    """The logical lines of a master.cf; a Token is one that continues nothing."""
    entries = usual.entries(text)
    if entries is not None:
        for entry in entries:
            yield _Line(entry[0], entry.start())
        return
    for token in parser("master_cf").parse(text).children:
        if not isinstance(token, str):
            raise AssertionError("the grammar has lines only")
        is_entry = token.type == "ENTRY"
        yield _Line(str(token), token.start_pos or 0) if is_entry else token


class _Field(NamedTuple):
    """Text of a field, and its offset in the logical line."""

    text: str
    offset: int


class _Entry:
    """A logical line that is being parsed."""

    def __init__(self, raw: str, start: int, text: str, path: str) -> None:
        self._raw = raw
        self._start = start
        self._text = text
        self._path = path
        self._line = join(raw).partition("\0")[0]
        self._options: list[Option] = []

    def service(self) -> Service:
        """Raises: ConfigError for the first mistake."""
        fields = [
            _Field(self._line[begin:end], begin)
            for begin, end in items(self._line, _BLANKS)
        ]
        if len(fields) < len(_FIELDS):
            self._refuse(
                f'missing "{_FIELDS[len(fields)]}" field',
                len(self._line.rstrip(SPACE)),
                f"write eight fields: {', '.join(_FIELDS)}",
            )
        name, type_, private, unprivileged, chroot, wakeup, limit, command = fields[:8]
        if type_.text not in TYPES:
            self._refuse(
                f"bad transport type: {type_.text}",
                type_.offset,
                f"choose from {', '.join(TYPES)}",
            )
        is_private = self._boolean(private, "private")
        if type_.text == "inet" and is_private is not False:
            self._refuse("inet service cannot be private", private.offset, "write n")
        plain_wakeup = wakeup.text.removesuffix("?")
        return Service(
            name=name.text,
            type=type_.text,
            private=is_private,
            unprivileged=self._boolean(unprivileged, "unprivileged"),
            chroot=self._boolean(chroot, "chroot"),
            wakeup_seconds=self._number(wakeup, plain_wakeup, "wakeup_time"),
            wakes_if_used=wakeup.text.endswith("?"),
            process_limit=self._number(limit, limit.text, "max_proc"),
            command=command.text,
            arguments=tuple(self._arguments(fields[8:])),
            options=tuple(self._options),
            origin=self._origin(0),
        )

    def _origin(self, offset: int) -> Origin:
        start = self._start + position(self._raw, offset)
        return origin(self._path, self._text, start)

    def _refuse(self, trouble: str, offset: int, remedy: str = "") -> NoReturn:
        raise ConfigError(
            f"{self._path}: line {self._origin(0).line}: {trouble}",
            origin=self._origin(offset),
            remedy=remedy,
        )

    def _bad(self, field: _Field, name: str, remedy: str) -> NoReturn:
        trouble = f'field "{name}": bad value: "{field.text}"'
        self._refuse(trouble, field.offset, remedy)

    def _boolean(self, field: _Field, name: str) -> bool | None:
        values = {"y": True, "n": False, "-": None}
        if field.text not in values:
            self._bad(field, name, "write y, n or - (the default)")
        return values[field.text]

    def _number(self, field: _Field, digits: str, name: str) -> int | None:
        if field.text == "-":
            return None
        if not _DIGITS.fullmatch(digits):
            self._bad(field, name, "write a whole number or - (the default)")
        return int(digits)

    def _arguments(self, fields: list[_Field]) -> list[str]:
        """The arguments as the program receives them; also collects the options."""
        arguments: list[str] = []
        are_options = True
        wants_value = False
        for field in fields:
            bare = self._without_braces(field)
            if wants_value:
                arguments.append(
                    self._option(bare, is_braced=field.text.startswith("{"))
                )
                wants_value = False
                continue
            are_options &= field.text.startswith("-") and field.text != "--"
            if not are_options:
                arguments.append(bare.text)
                continue
            # "-vo" is "-v" "-o", and "-oname=value" is "-o" "name=value".
            letters, o, value = field.text[1:].partition("o")
            if letters or not o:
                arguments.append(f"-{letters}")
            if o:
                arguments.append("-o")
            if value:
                attached = _Field(value, field.offset + len(field.text) - len(value))
                bare = self._without_braces(attached)
                arguments.append(self._option(bare, is_braced=value.startswith("{")))
            wants_value = bool(o) and not value
        return arguments

    def _without_braces(self, field: _Field) -> _Field:
        """The inside of {...}, without the blanks around it."""
        if not field.text.startswith("{"):
            return field
        inside, trouble = braced(field.text)
        if trouble.startswith("missing"):
            self._refuse(trouble, field.offset, "close the brace")
        if trouble:
            after = field.offset + len(inside) + 2
            self._refuse(trouble, after, "put a blank after the brace")
        blanks = len(inside) - len(inside.lstrip(SPACE))
        return _Field(inside.strip(SPACE), field.offset + 1 + blanks)

    def _option(self, field: _Field, *, is_braced: bool) -> str:
        """Note the option of a -o; returns it as postconf(1) writes it."""
        split = split_nameval(field.text)
        if isinstance(split, str):
            trouble = f'invalid "-o {field.text}" option value: {split}'
            self._refuse(trouble, field.offset, "write -o name=value")
        name, value = split
        behind = field.text.index("=") + 1
        offset = field.offset + behind
        offset += len(field.text[behind:]) - len(field.text[behind:].lstrip(SPACE))
        self._options.append(Option(name, value, self._origin(offset)))
        return f"{name}={value}" if is_braced else field.text
