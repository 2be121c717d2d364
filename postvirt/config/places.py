"""Where a value comes from, so that a problem with it can be shown there.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from postvirt.config.logical_lines import Place
from postvirt.config.main_cf import MainCf
from postvirt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Origin:
    """A file, and where a value begins in it."""

    file: str
    place: Place


@dataclass(frozen=True, slots=True)
class Places:
    """The origins of all values.

    main_cf     None when there is no file to read
    overridden  names whose value is not from main.cf
    options     the origins of those that are known, in master.cf
    """

    main_cf: MainCf | None
    overridden: Collection[str]
    options: Mapping[str, Origin]

    def error(
        self,
        text: str,
        parameter: str,
        *,
        offset: int = 0,
        item: str = "",
        remedy: str = "",
        severity: Literal["error", "warning"] = "error",
        warnings: tuple[str, ...] = (),
    ) -> ConfigError:
        """A problem with a parameter's value, at an offset into an item in it.

        Without an item the offset is into the value.
        """
        origin = self._origin(parameter, offset, item)
        if origin is None:
            return ConfigError(
                text, remedy=remedy, severity=severity, warnings=warnings
            )
        return ConfigError(
            text,
            file=origin.file,
            line=origin.place.line,
            source=origin.place.source,
            column=origin.place.column,
            remedy=remedy,
            severity=severity,
            warnings=warnings,
        )

    def _origin(self, parameter: str, offset: int, item: str) -> Origin | None:
        if parameter in self.overridden:
            return self._option(parameter, offset, item)
        found = self.main_cf.last_assignment(parameter) if self.main_cf else None
        if self.main_cf is None or found is None:
            return None
        begin = found.value.find(item)
        offset = begin + offset if begin >= 0 else 0
        return Origin(self.main_cf.path, self.main_cf.value_place(found, offset))

    def _option(self, parameter: str, offset: int, item: str) -> Origin | None:
        """The place in an option, as long as its value does not go on in a new line."""
        origin = self.options.get(parameter)
        if origin is None:
            return None
        place = origin.place
        begin = place.source.find(item, place.column)
        column = begin + offset
        if begin < 0 or column >= len(place.source):
            column = place.column
        return Origin(origin.file, replace(place, column=column))
