"""The parameters of a table whose name says where they are.

    type:/path/to/file.cf   a file of its own, in the syntax of main.cf; $name in a
                            value means nothing. The path may begin with a dot.
    type:NAME               NAME_parameter in main.cf, where $name is expanded

A file may hold a password: no message shows one of its lines, and none shows the value
of a parameter that can be secret.

Parity: src/global/cfg_parser.c, dict_load_file_xt() of src/util/dict.c.
Differs: Mistakes in .cf files. A `.cf` file that cannot be used makes its table
    unavailable, and mail that needs it is deferred; virtual(8) ends its process.
Differs: Changed .cf files. A changed `.cf` file is noticed, and the table is opened
    again; virtual(8) reads it when a process starts.
Raises: TableError for a file or a value that cannot be used.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from postvirt.config.main_cf import split_nameval
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text, wire
from postvirt.system import log
from postvirt.tables.table import FileVersion
from postvirt.tables.text_file import logical_lines

# The text of a parameter of main.cf or -o, expanded; None when nothing sets it. Raises
# ConfigError.
MainCfLookup = Callable[[str], str | None]

# A file that was written less than a second ago may be half of a file.
HOT_PAUSE_SECONDS = 0.3

_INTEGER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]{1,19}")
_INT_MAX = (1 << 31) - 1


def _nothing_is_set(name: str) -> None:
    """What main.cf says before anybody has read it."""


_main_cf: MainCfLookup = _nothing_is_set


def use_main_cf(lookup: MainCfLookup) -> None:
    """Take the parameters of all tables that are opened from now on from here."""
    global _main_cf
    _main_cf = lookup


class CfParameters:
    """The parameters of one table; name is what follows the type.

    With warn, a parameter that is set twice gives a warning.
    """

    def __init__(self, name: str, *, warn: bool = True) -> None:
        self.name = name
        self._warn = warn
        self._values: dict[str, str] | None = None
        self._version: FileVersion | None = None
        if name.startswith(("/", ".")):
            self._values = self._read()

    def _read(self) -> dict[str, str]:
        """The values of the file, once it has been left alone for a second."""
        try:
            fd = os.open(wire(self.name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TableError(f"open {self.name}: {error.strerror}") from None
        try:
            content = self._read_when_cold(fd)
            self._version = FileVersion.of(fd)
            return self._parse(content)
        except OSError as error:
            os.close(fd)
            raise TableError(f"read {self.name}: {error.strerror}") from None
        except TableError:
            self.close()
            raise

    def _read_when_cold(self, fd: int) -> bytes:
        before = int(time.time())
        while True:
            status = os.fstat(fd)
            content = os.pread(fd, status.st_size, 0) if status.st_size else b""
            mtime, after = int(status.st_mtime), int(time.time())
            if mtime < before - 1 or mtime > after:
                return content
            time.sleep(HOT_PAUSE_SECONDS)
            before = after

    def _parse(self, content: bytes) -> dict[str, str]:
        values: dict[str, str] = {}
        for number, line in logical_lines(content, self.name):
            split = split_nameval(text(line.split(b"\0", 1)[0]))
            place = f"{self.name}, line {number}"
            if isinstance(split, str):
                raise TableError(f"{place}: {split}")
            name, value = split
            if self._warn and values.get(name, value) != value:
                log.warning(f"{place}: overriding earlier entry: {name}")
            values[name] = value
        return values

    def _get(self, name: str) -> tuple[str, str | None]:
        """The name for a message, and the value."""
        if self._values is None:
            name = f"{self.name}_{name}"
            try:
                return name, _main_cf(name)
            except ConfigError as error:
                raise TableError(f"{name}: {error.text}") from None
        return f"{self.name}: {name}", self._values.get(name)

    def text(self, name: str, default: str = "", *, minimum: int = 0) -> str:
        """A text; minimum is its shortest length in bytes."""
        shown, value = self._get(name)
        if value is None:
            value = default
        length = len(wire(value))
        if length < minimum:
            raise TableError(f"{shown}: bad string length {length} < {minimum}")
        return value

    def integer(
        self, name: str, default: int, *, minimum: int = 0, maximum: int = 0
    ) -> int:
        """A whole number; a bound of 0 means no bound."""
        shown, value = self._get(name)
        number = default
        if value is not None:
            number = int(value) if _INTEGER.fullmatch(value) else _INT_MAX + 1
            if not -_INT_MAX - 1 <= number <= _INT_MAX:
                raise TableError(f"{shown}: bad numerical configuration: {value}")
        if minimum and number < minimum:
            raise TableError(f"{shown}: invalid value {number} < {minimum}")
        if maximum and number > maximum:
            raise TableError(f"{shown}: invalid value {number} > {maximum}")
        return number

    def boolean(self, name: str, default: bool) -> bool:
        """Either yes or no."""
        shown, value = self._get(name)
        if value is None:
            return default
        if value.lower() not in ("yes", "no"):
            raise TableError(f"{shown}: bad boolean configuration: {value}")
        return value.lower() == "yes"

    def changed(self) -> bool:
        """Whether the file was rewritten or removed; never, for main.cf."""
        return self._version is not None and self._version.is_outdated()

    def close(self) -> None:
        """Close the file, which is open only for `changed`."""
        if self._version is not None:
            os.close(self._version.fd)
            self._version = None
