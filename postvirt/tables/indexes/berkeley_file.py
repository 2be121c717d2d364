"""The pages of a Berkeley DB file: its first page, the items of a page, large items.

A file consists of pages of one size, in the byte order of the machine that wrote it.
The first describes the file. A page of entries has a head, the places of its items,
free space, and the items, which fill the page from its end without a gap. Keys and
values take turns. An item that is too large for a page is a chain of pages of its own.

Nothing in a file is believed: what makes no sense is an OSError, never an answer.
`berkeley_hash` and `berkeley_btree` say what damage cannot be noticed.

Pages are read, not mapped, so a file that shrinks is an error and no SIGBUS. The first
page is read again at each lookup, so no change is missed.

Raises: OSError.
"""

from __future__ import annotations

import errno
import operator
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final, NamedTuple

# Kinds of pages.
BTREE_INTERNAL: Final = 3
BTREE_LEAF: Final = 5
_LARGE_ITEM: Final = 7
HASH: Final = 13

# Kinds of items: on the page, or elsewhere.
HERE: Final = 1
LARGE: Final = 3

# What is on the page of a large item: its kind, 3 unused bytes, first page, size. In a
# btree, the kind is the third byte.
LARGE_BYTES: Final = 12

# The head of every page: its number, the previous and the next page, number of items,
# where they begin, level in a btree, kind.
_HEAD: Final = "8xIIIHHBB"
HEAD_BYTES: Final = 26

# The first page: number, magic, version, page size, encryption, kind, checksums, number
# of the last page, partitions, flags.
_META: Final = "8xIIIIBBBx4xII8xI"
_META_BYTES: Final = 512

_LARGEST_PAGE: Final = 1 << 16
_PAGE_SIZES = tuple(_LARGEST_PAGE >> less for less in range(8))

Item = bytes | tuple[int, int]  # a large item: first page and size


class Page(NamedTuple):
    """A page, with its head in numbers."""

    number: int
    previous: int
    next: int
    entries: int
    items_begin: int
    level: int
    kind: int
    data: bytes


class BerkeleyFile(ABC):
    """The pages of an open file; a kind of file adds how keys are found in them."""

    MAGIC: int
    META_KIND: int
    VERSIONS: tuple[int, ...]

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.order = ""
        self.page_bytes = 0
        self.last_page = 0
        self._meta: bytes | None = None
        self._head = struct.Struct("")
        self.refresh()

    def refresh(self) -> None:
        """Read the first page; examine it if it is not the one of before."""
        meta = os.pread(self.fd, _META_BYTES, 0)
        if meta != self._meta:
            self._meta = None
            self._examine(meta)
            self._meta = meta

    def _examine(self, meta: bytes) -> None:
        """Find the byte order, and see whether this is a file that can be read."""
        orders = [order for order in "<>" if self._is_magic(meta, order)]
        if len(meta) < _META_BYTES or not orders:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self.order = orders[0]
        number, _, version, page_bytes, cipher, kind, checks, last, parts, flags = (
            struct.unpack_from(self.order + _META, meta)
        )
        if number or kind != self.META_KIND or page_bytes not in _PAGE_SIZES:
            raise damaged()
        if version not in self.VERSIONS:
            raise OSError(errno.EINVAL, f"version {version} of Berkeley DB's format")
        if cipher or checks or parts or flags:
            raise OSError(errno.EINVAL, "the file has features that postmap never uses")
        if os.fstat(self.fd).st_size < (last + 1) * page_bytes:
            raise truncated()
        self.page_bytes = page_bytes
        self.last_page = last
        self._head = struct.Struct(self.order + _HEAD)
        self.read_meta(meta)

    def _is_magic(self, meta: bytes, order: str) -> bool:
        return meta[12:16] == struct.pack(f"{order}I", self.MAGIC)

    @abstractmethod
    def read_meta(self, meta: bytes) -> None:
        """Read from the first page what a kind of file has there."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """Find the value of a key."""

    @abstractmethod
    def pages(self) -> Iterator[Page]:
        """The pages that have entries, in the order of postmap -s."""

    @abstractmethod
    def items(self, page: Page) -> list[Item]:
        """All items of a page, which is examined."""

    def keys(self, page: Page) -> tuple[list[bytes], list[Item]]:
        """The keys of a page, which must be in order, and its items."""
        items = self.items(page)
        keys = [
            item if isinstance(item, bytes) else self.whole(item) for item in items[::2]
        ]
        if any(map(operator.ge, keys, keys[1:])) and not all(
            map(self.may_follow, keys, keys[1:])
        ):
            raise damaged()
        return keys, items

    def may_follow(self, key: bytes, other: bytes) -> bool:
        """Whether two keys are in order."""
        return key < other

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values."""
        for page in self.pages():
            keys, items = self.keys(page)
            for key, value in zip(keys, items[1::2], strict=True):
                yield key, self.whole(value)

    def count(self) -> int:
        """Number of keys."""
        return sum(page.entries // 2 for page in self.pages())

    def page(self, number: int, *, may_be_blank: bool = False) -> Page:
        """Read one page; one that was never written has the number and the kind 0."""
        if not 0 < number <= self.last_page:
            raise damaged()
        data = os.pread(self.fd, self.page_bytes, number * self.page_bytes)
        if len(data) < self.page_bytes:
            raise truncated()
        page = Page._make((*self._head.unpack_from(data), data))
        if self.page_bytes == _LARGEST_PAGE and not page.items_begin:
            page = page._replace(items_begin=_LARGEST_PAGE)  # does not fit in 16 bits
        if page.number != number and (any(data) or not may_be_blank):
            raise damaged()
        return page

    def places(self, page: Page) -> tuple[int, ...]:
        """Where the items of a page are."""
        if (
            (page.entries % 2 and page.kind != BTREE_INTERNAL)
            or HEAD_BYTES + 2 * page.entries > page.items_begin
            or page.items_begin > self.page_bytes
        ):
            raise damaged()
        return struct.unpack_from(f"{self.order}{page.entries}H", page.data, HEAD_BYTES)

    def matching(self, page: Page, places: tuple[int, ...], wanted: bytes) -> list[int]:
        """The indexes of keys whose items begin with these bytes."""
        indexes = []
        at = page.data.find(wanted, page.items_begin)
        while at >= 0:
            if at in places and (index := places.index(at)) % 2 == 0:
                indexes.append(index)
            at = page.data.find(wanted, at + 1)
        return indexes

    def large(self, data: bytes, place: int) -> tuple[int, int]:
        """The first page and the size of a large item."""
        if place + LARGE_BYTES > self.page_bytes:
            raise damaged()
        number, size = struct.unpack_from(f"{self.order}II", data, place + 4)
        return number, size

    def whole(self, item: Item) -> bytes:
        """The content of an item."""
        if isinstance(item, bytes):
            return item
        number, missing = item
        if not 0 < missing <= self.last_page * self.page_bytes:
            raise damaged()
        parts = []
        previous = 0
        while missing:
            page = self.page(number)
            # What is otherwise the place of the first item is the number of bytes here.
            size = page.items_begin
            if (
                page.kind != _LARGE_ITEM
                or page.previous != previous
                or not 0 < size <= min(missing, self.page_bytes - HEAD_BYTES)
            ):
                raise damaged()
            parts.append(page.data[HEAD_BYTES : HEAD_BYTES + size])
            previous, number = number, page.next
            missing -= size
        if number:
            raise damaged()
        return b"".join(parts)


def damaged() -> OSError:
    """The error for what cannot be in a sound file."""
    return OSError(errno.EINVAL, "the file is damaged")


def truncated() -> OSError:
    """The error for a page behind the end of the file."""
    return OSError(errno.EINVAL, "the file is truncated")
