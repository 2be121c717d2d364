"""What the queue manager requests: one message, some of its recipients.

Parity: src/global/deliver_request.h, recipient_list.h, msg_stats.h.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final, NamedTuple


class RequestFlag(IntFlag):
    """The `flags` attribute of a delivery request."""

    SUCCESS = 1  # cross recipients off in the queue file
    BOUNCE = 2
    MTA_VRFY = 256  # probe for the verify service, deliver nothing
    USR_VRFY = 512  # "sendmail -bv", deliver nothing
    RECORD = 1024  # "sendmail -v", report every outcome to the trace service
    REC_DLY_SENT = 8192  # report the delivery of mail whose delay was reported


PROBE_FLAGS: Final = RequestFlag.MTA_VRFY | RequestFlag.USR_VRFY
TRACE_FLAGS: Final = PROBE_FLAGS | RequestFlag.RECORD | RequestFlag.REC_DLY_SENT

# The notify_flags attribute of a recipient (RFC 3461).
NOTIFY_NEVER: Final = 1
NOTIFY_SUCCESS: Final = 2
NOTIFY_FAILURE: Final = 4
NOTIFY_DELAY: Final = 8


# In microseconds, as are all times here.
SECOND: Final = 1_000_000


class MessageStats(NamedTuple):
    """When the message passed each stage (msg_stats.h), in microseconds since 1970.

    A time before SECOND means "not yet", because Postfix checks the seconds only.
    """

    incoming_arrival: int = 0
    active_arrival: int = 0
    agent_handoff: int = 0
    connection_setup_done: int = 0
    delivery_done: int = 0
    reuse_count: int = 0


_NO_STATS: Final = MessageStats()


class Recipient(NamedTuple):
    """One recipient of a delivery request; addresses are in internal (unquoted) form.

    offset is the place of its record in the queue file, -1 when there is none. The
    fields are in the order in which they are sent (codec.delivery).
    """

    original_recipient: bytes
    address: bytes
    offset: int
    dsn_original_recipient: bytes = b""
    notify_flags: int = 0


class DeliveryRequest(NamedTuple):
    """One message and the recipients to deliver it to.

    data_offset is where the message content begins in the queue file, data_size its
    size as the queue manager counts it, both in bytes. The fields are in the order in
    which they are sent (codec.delivery); the defaults are those of a message that was
    submitted on this host. flags are those of RequestFlag, as a plain number: `&` of
    two flags creates a new flag, which takes longer than all that is done with it.
    """

    flags: int
    queue_name: bytes
    queue_id: bytes
    data_offset: int
    data_size: int
    nexthop: bytes
    encoding: bytes = b"8bit"
    sendopts: int = 0
    sender: bytes = b""
    envelope_id: bytes = b""
    ret_flags: int = 0
    stats: MessageStats = _NO_STATS
    client_name: bytes = b""
    client_address: bytes = b""
    client_port: bytes = b""
    client_protocol: bytes = b""
    client_helo: bytes = b""
    sasl_method: bytes = b""
    sasl_username: bytes = b""
    sasl_sender: bytes = b""
    log_ident: bytes = b""
    rewrite_context: bytes = b"local"
    recipients: tuple[Recipient, ...] = ()
