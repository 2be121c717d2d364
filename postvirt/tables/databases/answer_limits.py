"""Limits for the answer of a database, which may be broken or in strange hands.

Parity: none; Postfix waits without limit, and reads answers of any size.
Differs: Answers of databases. An answer of a database that takes longer than a minute
    in all, or is larger than 256 KiB, is an error, and mail is deferred. So is a host
    that does not acknowledge a query of a `mysql:` or `pgsql:` table for ten seconds.
    Postfix waits without limit, and reads answers of any size.
Raises: nothing.
"""

from __future__ import annotations

# For a connection, with TLS and logging in.
CONNECT_SECONDS = 10
# For the other host to acknowledge what it was sent, even if the server has no time.
ACKNOWLEDGE_SECONDS = 10
# For the whole of an answer, however many parts it has.
ANSWER_SECONDS = 60

# The value of a key is a path or a number, so this is plenty. In memory, an answer can
# take some fifty times as much, if it consists of tiny values.
MAX_ANSWER_BYTES = 1 << 18

# What a server says of an error is logged.
MAX_REASON = 500


def one_line(reason: str) -> str:
    """The reason of an error as one line that is not too long."""
    return " ".join(reason[: 2 * MAX_REASON].split())[:MAX_REASON]
