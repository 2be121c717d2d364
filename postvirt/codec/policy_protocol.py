"""What smtpd(8) asks a policy service, and the answer.

A request consists of lines `name=value`, and an empty line ends it. The answer is a
line `action=...` and an empty line. Requests come one after the other on a connection
that stays open.

Parity: SMTPD_POLICY_README; src/util/attr_scan_plain.c.
Raises: ProtocolError.
Security: any program of this machine may ask. A request has a limit, and of its
attributes only those that are needed are kept.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from postvirt.errors import ProtocolError

ACCESS_POLICY: Final = b"smtpd_access_policy"

# smtpd(8) sends about 30 attributes. Addresses and names of certificates can be long.
MAX_REQUEST_BYTES: Final = 65_536

_END: Final = b"\n\n"
_MOST_DIGITS: Final = 18


class PolicyRequest(NamedTuple):
    """What is asked.

    request     "smtpd_access_policy"
    state       the SMTP command: RCPT, DATA, END-OF-MESSAGE ...
    recipient   in internal form; empty when there are several, or none yet
    size_bytes  as the client has announced it, or as received; 0 for unknown
    """

    request: bytes
    state: bytes
    recipient: bytes
    size_bytes: int


class PolicyDecoder:
    """Requests from the pieces in which they arrive."""

    __slots__ = ("_received",)

    def __init__(self) -> None:
        self._received = b""

    def feed(self, data: bytes) -> None:
        """Add what has been received."""
        self._received += data

    @property
    def is_between(self) -> bool:
        """Whether no request has begun."""
        return not self._received

    def next(self) -> PolicyRequest | None:
        """The next request; None if more is needed."""
        if self._received.startswith(b"\n"):
            raise ProtocolError("an empty request")
        end = self._received.find(_END, 0, MAX_REQUEST_BYTES)
        if end < 0:
            if len(self._received) >= MAX_REQUEST_BYTES:
                raise ProtocolError(f"a request of more than {MAX_REQUEST_BYTES} bytes")
            return None
        lines = self._received[:end].split(b"\n")
        self._received = self._received[end + len(_END) :]
        return _decode(lines)


def _decode(lines: list[bytes]) -> PolicyRequest:
    found = {}
    for line in lines:
        name, is_there, value = line.partition(b"=")
        if not is_there:
            raise ProtocolError("a line without =")
        found[name] = value
    size = found.get(b"size", b"")
    return PolicyRequest(
        found.get(b"request", b""),
        found.get(b"protocol_state", b""),
        found.get(b"recipient", b""),
        int(size) if size.isdigit() and len(size) <= _MOST_DIGITS else 0,
    )


def encode_action(action: bytes) -> bytes:
    """The answer; what could end its line becomes a space."""
    return b"action=%b\n\n" % b" ".join(action.split())
