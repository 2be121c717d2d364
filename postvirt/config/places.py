"""The places of values, to show problems there.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from postvirt.config.main_cf import MainCf
from postvirt.model.origin import NOWHERE, Origin


class Places(NamedTuple):
    """The origins of all values.

    main_cf     None when there is no file to read
    overridden  names whose value does not come from main.cf
    options     their origins in master.cf, where known
    """

    main_cf: MainCf | None
    overridden: Collection[str]
    options: Mapping[str, Origin]

    def origin(self, parameter: str, *, offset: int = 0, item: str = "") -> Origin:
        """The place of a value, at an offset into an item in it.

        Without an item the offset is into the value.
        """
        if parameter in self.overridden:
            return self._option(parameter, offset, item)
        found = self.main_cf.last_assignment(parameter) if self.main_cf else None
        if self.main_cf is None or found is None:
            return NOWHERE
        begin = found.value.find(item)
        offset = begin + offset if begin >= 0 else 0
        return self.main_cf.value_origin(found, offset)

    def _option(self, parameter: str, offset: int, item: str) -> Origin:
        """The place in an option, as long as its value does not go on in a new line."""
        origin = self.options.get(parameter, NOWHERE)
        begin = origin.source.find(item, max(origin.column, 0))
        column = begin + offset
        if begin < 0 or column >= len(origin.source):
            column = origin.column
        return origin._replace(column=column)
