"""What the server of a volume is told, and what it tells."""

from __future__ import annotations

import errno
from typing import NamedTuple


class Trouble(NamedTuple):
    """The request of this number, from 1, fails.

    error      what it fails with; 0: the server ends
    is_done    only the answer is lost
    lasts      all requests after it fail, too, until the volume is well again
    of         count requests of this name only
    """

    number: int
    error: int
    is_done: bool = False
    lasts: bool = False
    of: str = ""

    def __str__(self) -> str:
        error = errno.errorcode.get(self.error, "END")
        kind = "answer" if self.is_done else "request"
        return f"{self.number}:{error}:{kind}{':lasts' * self.lasts}"


# What the server was asked for: the request, and the path of its file.
Asked = tuple[str, str]
