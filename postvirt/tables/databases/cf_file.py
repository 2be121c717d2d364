"""The parameters of a table whose name says where they are.

    type:/path/to/file.cf   a file of its own, in the syntax of main.cf; $name in a
                            value is not expanded. The path may begin with a dot.
    type:NAME               NAME_parameter in main.cf, where $name is expanded

A file may contain a password: no message shows one of its lines, or the value of a
parameter that can be secret.

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
from collections.abc import Callable

from postvirt.config.main_cf import split_nameval
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text, wire
from postvirt.system.settled_file import read_settled
from postvirt.tables.complaint import (
    Complain,
    Complaint,
    Kind,
    OpenError,
    ignore_complaint,
    missing_or_unusable,
)
from postvirt.tables.table import FileVersion
from postvirt.tables.text_file import logical_lines

# The text of a parameter of main.cf or -o, expanded; None when nothing sets it. Raises
# ConfigError.
MainCfLookup = Callable[[str], str | None]

_INTEGER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]{1,19}")
_INT_MAX = (1 << 31) - 1


class CfParameters:
    """The parameters of one table; name is what follows the type.

    main_cf looks up parameters of main.cf; complain is told what is odd in the file.
    """

    def __init__(
        self, name: str, main_cf: MainCfLookup, complain: Complain = ignore_complaint
    ) -> None:
        self.name = name
        self._main_cf = main_cf
        self._complain = complain
        self._values: dict[str, str] | None = None
        self._version: FileVersion | None = None
        if name.startswith(("/", ".")):
            self._values = self._read()

    def _read(self) -> dict[str, str]:
        """The values of the file, once it has been left alone for a second."""
        try:
            fd = os.open(wire(self.name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            why = f"open {self.name}: {error.strerror}"
            raise missing_or_unusable(error, why, self.name) from None
        try:
            content = read_settled(wire(self.name))
            self._version = FileVersion.of(fd)
            return self._parse(content)
        except OSError as error:
            os.close(fd)
            raise TableError(f"read {self.name}: {error.strerror}") from None
        except TableError:
            self.close()
            raise

    def _parse(self, content: bytes) -> dict[str, str]:
        values: dict[str, str] = {}
        for number, line in logical_lines(content, self.name, self._complain):
            split = split_nameval(text(line.split(b"\0", 1)[0]))
            if isinstance(split, str):
                raise OpenError(
                    Complaint(Kind.UNUSABLE, split, file=self.name, line=number)
                )
            name, value = split
            if values.get(name, value) != value:
                why = f"overriding earlier entry: {name}"
                self._complain(
                    Complaint(Kind.PARAMETER, why, file=self.name, line=number)
                )
            values[name] = value
        return values

    def _get(self, name: str) -> tuple[str, str | None]:
        """The name for a message, and the value."""
        if self._values is None:
            name = f"{self.name}_{name}"
            try:
                return name, self._main_cf(name)
            except ConfigError as error:
                raise TableError(f"{name}: {error.text}") from None
        return f"{self.name}: {name}", self._values.get(name)

    def text(self, name: str, default: str = "", *, minimum: int = 0) -> str:
        """A text; minimum is its least length in bytes."""
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

    def boolean(self, name: str, *, default: bool) -> bool:
        """Yes or no."""
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
