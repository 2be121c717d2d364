"""Hash files of Berkeley DB: what is behind hash:.

A key belongs into the bucket that its hash names, and a bucket is a chain of pages. The
first pages of buckets are in groups, each twice as large as the one before; `spares`
says how far each group has been moved by pages that are not buckets.

The keys of a page are in order. Before a key is not found, the order is examined, and
the keys beside its place are hashed, to see that they belong into the bucket: so damage
to the key, or to the description of the buckets, is an error. What cannot be noticed:
damage in a value, a damaged key that has the hash of the same bucket (also when it
equals another one on a later page), and a chain that ends early because the number of
its next page was made 0.

Raises: OSError.
"""

from __future__ import annotations

import operator
import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from postvirt.tables.indexes.berkeley_file import (
    HASH,
    HERE,
    LARGE,
    LARGE_BYTES,
    BerkeleyFile,
    Item,
    Page,
    damaged,
)

# Last bucket, two masks, fill factor, number of keys, hash of _TEST; then `spares`.
_META: Final = "72x6I32I"

# Its hash tells whether the file was written with this hash function.
_TEST: Final = b"%$sniglet^&\0"

# postmap announces this number of keys to the library, which counts from there. With
# another number and no fill factor, a small file looks as if it had lost keys.
_ANNOUNCED: Final = 4096

# Number of buckets to look for a key in, to see that a group is where it should be.
_LOOKS: Final = 8

_ALL_HERE: Final = frozenset({HERE})

_PRIME: Final = 16777619
_MASK: Final = 0xFFFFFFFF


def hash_of(key: bytes) -> int:
    """Fowler, Noll and Vo's hash, which begins with 0 here."""
    value = 0
    for byte in key:
        value = (value * _PRIME & _MASK) ^ byte
    return value


class HashFile(BerkeleyFile):
    """An open hash file."""

    MAGIC = 0x061561
    META_KIND = 8
    VERSIONS: tuple[int, ...] = (9, 10)

    def read_meta(self, meta: bytes) -> None:
        """Read which buckets there are, and where."""
        last, high, low, fill, keys, test, *spares = struct.unpack_from(
            self.order + _META, meta
        )
        if (
            test != hash_of(_TEST)
            or last >= self.last_page
            or high != (1 << max(last.bit_length(), 1)) - 1
            or low != high >> 1
        ):
            raise damaged()
        self._last: int = last
        self._high: int = high
        self._low: int = low
        self._keys: int = keys
        self._spares: list[int] = spares
        # Buckets that exist from the start are written when they get a key. There are
        # two of them, or more if a program (not postmap) says how full they may be.
        self._may_be_blank = last < 2 or fill > 0
        self._is_complete = fill > 0
        self._examine_groups()

    def _examine_groups(self) -> None:
        """Raise OSError if a first key of a group is not in its bucket.

        Or if a bucket behind the last one has keys, or the last one lacks some.
        """
        for group in range(self._last.bit_length() + 1):
            first = 1 << group >> 1
            after = min(max(2 * first, 1), self._last + 1)
            for bucket in range(first, min(after, first + _LOOKS)):
                page = self._first_page(bucket)
                if page.entries:
                    place = self.places(page)[0]
                    key = self.whole(self._item(page, place, self.page_bytes))
                    if self._bucket(key) != bucket:
                        raise damaged()
                    break
        for bucket in range(self._last + 1, min(self._last + _LOOKS, self._high) + 1):
            number = self._place(bucket)
            if number <= self.last_page and self._first_page(bucket).entries:
                raise damaged()

        if not self._first_page(self._last).entries:
            for page in self._chain(self._last & self._low):
                if self._last in map(self._bucket, self.keys(page)[0]):
                    raise damaged()

    def _place(self, bucket: int) -> int:
        return bucket + self._spares[bucket.bit_length()]

    def _first_page(self, bucket: int) -> Page:
        may_be_blank = self._may_be_blank or bucket > self._last
        return self.page(self._place(bucket), may_be_blank=may_be_blank)

    def get(self, key: bytes) -> bytes | None:
        """Look at the pages of one bucket."""
        self.refresh()
        bucket = self._bucket(key)
        wanted = bytes((HERE,)) + key
        passed = []
        for page in self._chain(bucket):
            places, ends = self._layout(page)
            indexes = [
                index
                for index in self.matching(page, places, wanted)
                if ends[index] == places[index] + len(wanted)
            ]
            if len(indexes) > 1:
                raise damaged()
            if indexes:
                (index,) = indexes
                return self.whole(self._item(page, places[index + 1], places[index]))
            passed.append(page)
        for page in passed:
            value = self._search(page, bucket, key)
            if value is not None:
                return value
        return None

    def _bucket(self, key: bytes) -> int:
        value = hash_of(key)
        bucket = value & self._high
        return bucket if bucket <= self._last else value & self._low

    def _chain(self, bucket: int) -> Iterator[Page]:
        """The pages of a bucket."""
        page = self._first_page(bucket)
        if not page.kind:
            self._refuse_incomplete()
            return
        previous = 0
        for _ in range(self.last_page):
            if page.kind != HASH or page.previous != previous:
                raise damaged()
            yield page
            if not page.next:
                return
            previous = page.number
            page = self.page(page.next)
        raise damaged()

    def _refuse_incomplete(self) -> None:
        """Raise OSError if a blank page is not one that never had a key."""
        if not self._is_complete:
            self._is_complete = True  # for the other blank pages
            missing = self._keys - self.count()
            self._is_complete = missing in (0, _ANNOUNCED)
        if not self._is_complete:
            raise damaged()

    def may_follow(self, key: bytes, other: bytes) -> bool:
        """Of keys that begin alike, the longer one may be the first."""
        return key < other or (key.startswith(other) and key != other)

    def _search(self, page: Page, bucket: int, key: bytes) -> bytes | None:
        """Find a large key, or see that the key is missing.

        The keys of a page are in order, so if this key has been damaged, it is one of
        those beside its place.
        """
        keys, items = self.keys(page)
        if key in keys:
            return self.whole(items[2 * keys.index(key) + 1])
        index = bisect_left(keys, key)
        for beside in keys[max(index - 1, 0) : index + 1]:
            if self._bucket(beside) != bucket:
                raise damaged()
        return None

    def pages(self) -> Iterator[Page]:
        """Bucket by bucket."""
        for bucket in range(self._last + 1):
            yield from self._chain(bucket)

    def _layout(self, page: Page) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where items begin and end: an item ends where the one before begins."""
        places = self.places(page)
        before = (self.page_bytes, *places)
        if before[-1] != page.items_begin or any(map(operator.ge, places, before)):
            raise damaged()
        return places, before[:-1]

    def items(self, page: Page) -> list[Item]:
        """Each item, from its place to its end."""
        places, ends = self._layout(page)
        data = page.data
        if set(map(data.__getitem__, places)) <= _ALL_HERE:
            return [data[at + 1 : end] for at, end in zip(places, ends, strict=True)]
        return [self._item(page, *where) for where in zip(places, ends, strict=True)]

    def _item(self, page: Page, place: int, end: int) -> Item:
        if page.items_begin <= place < end <= self.page_bytes:
            kind = page.data[place]
            if kind == HERE:
                return page.data[place + 1 : end]
            if kind == LARGE and end == place + LARGE_BYTES:
                return self.large(page.data, place)
        raise damaged()
