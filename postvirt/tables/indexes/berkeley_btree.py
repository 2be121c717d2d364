"""Btree files of Berkeley DB: what is behind btree:.

The leaves contain the entries in the order of their keys, and each names its
neighbours. The pages above them contain the least key of each page below, or the
beginning of it; the first one is not used.

Before a key is not found, it is seen to be missing between two neighbours: the leaf is
in order, and where the key would be its first or last one, the leaf beside it, too. So
damage to a page above, or to the order of keys, is an error. What cannot be noticed:
damage in a value, or in a key that stays between its neighbours.

Raises: OSError.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from postvirt.tables.indexes.berkeley_file import (
    BTREE_INTERNAL,
    BTREE_LEAF,
    HERE,
    LARGE,
    LARGE_BYTES,
    BerkeleyFile,
    Item,
    Page,
    damaged,
)

# Least number of keys in a page, root.
_META: Final = "76xI8xI"

# In front of an item: its size and kind; in a page above the leaves, its page, too.
_ITEM: Final = "HB"
_ITEM_HEAD: Final = 3
_ABOVE: Final = "HBxI4x"
_ABOVE_HEAD: Final = 12

_LEAF_LEVEL: Final = 1


class BtreeFile(BerkeleyFile):
    """An open btree file."""

    MAGIC = 0x053162
    META_KIND = 9
    VERSIONS: tuple[int, ...] = (8, 9, 10)

    def read_meta(self, meta: bytes) -> None:
        """Read where the root is."""
        least_keys, self._root = struct.unpack_from(self.order + _META, meta)
        if least_keys < 2:
            raise damaged()
        self._item_head = struct.Struct(self.order + _ITEM)
        self._above = struct.Struct(self.order + _ABOVE)

    def get(self, key: bytes) -> bytes | None:
        """Go from the root to the leaf that has the key if any has."""
        self.refresh()
        page = self._leaf(key)
        places, ends = self._layout(page)
        wanted = self._item_head.pack(len(key) & 0xFFFF, HERE) + key
        indexes = self.matching(page, places, wanted)
        if len(indexes) > 1:
            raise damaged()
        if indexes:
            return self.whole(self._item(page, places[indexes[0] + 1], ends))
        return self._search(page, key)

    def _leaf(self, key: bytes | None) -> Page:
        """The leaf where a key must be, None for the first leaf."""
        page = self.page(self._root)
        is_first = is_last = True
        while page.kind == BTREE_INTERNAL:
            places = self.places(page)
            if not places:
                raise damaged()
            index = 0
            if key is not None:
                index = bisect_right(places, key, 1, key=self._least(page)) - 1
            is_first = is_first and index == 0
            is_last = is_last and index == len(places) - 1
            page = self._child(page, places[index])
        if (
            page.kind != BTREE_LEAF
            or page.level != _LEAF_LEVEL
            or is_first != (not page.previous)
            or is_last != (not page.next)
        ):
            raise damaged()
        return page

    def _least(self, page: Page) -> Callable[[int], bytes]:
        """What to compare with for an item of a page above the leaves."""

        def least(place: int) -> bytes:
            size, kind, _ = self._above_head(page, place)
            start = place + _ABOVE_HEAD
            if kind == HERE and start + size <= self.page_bytes:
                return page.data[start : start + size]
            if kind == LARGE and size == LARGE_BYTES:
                return self.whole(self.large(page.data, start))
            raise damaged()

        return least

    def _child(self, page: Page, place: int) -> Page:
        _, _, number = self._above_head(page, place)
        child = self.page(number)
        if child.level != page.level - 1:
            raise damaged()
        return child

    def _above_head(self, page: Page, place: int) -> tuple[int, int, int]:
        if not page.items_begin <= place <= self.page_bytes - _ABOVE_HEAD:
            raise damaged()
        size, kind, number = self._above.unpack_from(page.data, place)
        return size, kind, number

    def _search(self, page: Page, key: bytes) -> bytes | None:
        """Find a large key, or see that the key is missing."""
        keys, items = self.keys(page)
        if key in keys:
            return self.whole(items[2 * keys.index(key) + 1])
        least, most = (keys[0], keys[-1]) if keys else (None, None)
        if least is None or key < least:
            _, before = self._ends_beside(page, forward=False)
            if before is not None and before >= key:
                raise damaged()
        if most is None or key > most:
            after, _ = self._ends_beside(page, forward=True)
            if after is not None and after <= key:
                raise damaged()
        return None

    def _ends(self, page: Page) -> tuple[bytes | None, bytes | None]:
        """The first and the last key of a leaf."""
        places, ends = self._layout(page)
        if not places:
            return None, None
        least, most = (
            self._item(page, place, ends) for place in (places[0], places[-2])
        )
        return self.whole(least), self.whole(most)

    def _ends_beside(
        self, page: Page, *, forward: bool
    ) -> tuple[bytes | None, bytes | None]:
        """The first and the last key of the next leaf, or of the one before."""
        for _ in range(self.last_page):
            number = page.next if forward else page.previous
            if not number:
                return None, None
            page = self._neighbour(page, number, forward=forward)
            if page.entries:
                return self._ends(page)
        raise damaged()

    def _neighbour(self, page: Page, number: int, *, forward: bool) -> Page:
        beside = self.page(number)
        back = beside.previous if forward else beside.next
        if (
            beside.kind != BTREE_LEAF
            or beside.level != _LEAF_LEVEL
            or back != page.number
        ):
            raise damaged()
        return beside

    def pages(self) -> Iterator[Page]:
        """From leaf to leaf."""
        page = self._leaf(None)
        for _ in range(self.last_page):
            yield page
            if not page.next:
                return
            page = self._neighbour(page, page.next, forward=True)
        raise damaged()

    def _layout(self, page: Page) -> tuple[tuple[int, ...], set[int]]:
        """Where items begin, and where they may end: items lie in any order."""
        places = self.places(page)
        ends = {*places, self.page_bytes}
        if min(ends) != page.items_begin or len(ends) != len(places) + 1:
            raise damaged()
        return places, ends

    def items(self, page: Page) -> list[Item]:
        """Each item, from its place to the next one."""
        places, ends = self._layout(page)
        return [self._item(page, place, ends) for place in places]

    def _item(self, page: Page, place: int, ends: set[int]) -> Item:
        """An item has a multiple of 4 bytes."""
        if place <= self.page_bytes - _ITEM_HEAD:
            size, kind = self._item_head.unpack_from(page.data, place)
            start = place + _ITEM_HEAD
            if kind == HERE and (start + size + 3) & ~3 in ends:
                return page.data[start : start + size]
            if kind == LARGE and place + LARGE_BYTES in ends:
                return self.large(page.data, place)
        raise damaged()
