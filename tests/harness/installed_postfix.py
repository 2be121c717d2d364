"""What the installed Postfix does otherwise than Postfix 3.7.

Tests compare with the Postfix that is there; where its version decides, they ask here.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import Final

from postvirt.codec.delivery import encode_request
from postvirt.model.request import DeliveryRequest


def _version() -> tuple[int, int]:
    try:
        said = subprocess.run(
            ["postconf", "-dh", "mail_version"], check=True, capture_output=True
        )
    except FileNotFoundError:
        return 3, 7
    first, second = re.findall(rb"[0-9]+", said.stdout)[:2]
    return int(first), int(second)


VERSION: Final = _version()

# The eighth attribute of a request, and what virtual(8) of other versions calls it.
EIGHTH, OTHER_EIGHTH = (
    (b"sendopts", b"smtputf8") if VERSION >= (3, 10) else (b"smtputf8", b"sendopts")
)


def request_data(request: DeliveryRequest) -> bytes:
    """What the queue manager of this version sends."""
    return encode_request(request).replace(b"\0smtputf8\0", b"\0%s\0" % EIGHTH, 1)


# What newer versions say besides.
_NEW = re.compile(
    r": text after null byte may be ignored$"
    r"|: unsupported dictionary type: (.*)\. Is the postfix-\1 package installed\?$"
    # Debian's, since 3.11.
    r"|: hash/btree support is deprecated\.  Please switch to cdb or lmdb\.$"
    r"|: See [^ ]*/NON_BERKELEYDB_README\S* for more info\.$"
)
_COMMENT = re.compile(r"#comment after other text is not allowed: (.*)\.\.\.$")
_EXPECTED = re.compile(r"(expecting: |missing attribute )sendopts\b")


def without_new(lines: Iterable[str]) -> list[str]:
    """Lines of the installed Postfix, without those that postvirt does not write."""
    return [line for line in lines if not _NEW.search(line)]


def in_our_words(line: str) -> str:
    """A line of the installed Postfix, as Postfix 3.7 and postvirt write it."""
    line = _COMMENT.sub(r"comment at end of line is not supported: \1", line)
    return _EXPECTED.sub(r"\1smtputf8", line)
