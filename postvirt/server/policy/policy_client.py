"""Serve one client of the policy service: requests and answers in turn.

The connection stays open. smtpd(8) hangs up when it has not asked for
smtpd_policy_service_max_idle seconds; the service does a little later.

Parity: src/smtpd/smtpd_check.c, src/util/attr_clnt.c.
Raises: StoppingError; nothing for what the client does.
Security: on a port, any user of this machine is a client. Requests have a limit, and a
    client that begins one has to end it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from postvirt.codec.policy_protocol import PolicyDecoder, PolicyRequest, encode_action
from postvirt.errors import ProtocolError
from postvirt.model.effects import Ready, Steps
from postvirt.system import log

# smtpd_policy_service_max_idle is 300 seconds, smtpd_policy_service_timeout 100.
IDLE_SECONDS: Final = 330.0
REQUEST_SECONDS: Final = 100.0

_RECEIVE_BYTES: Final = 16_384


def serve_policy_client(
    reads: int, writes: int, action: Callable[[PolicyRequest], Steps[bytes]]
) -> Steps[None]:
    """Answer until the client hangs up; the descriptors stay open."""
    decoder = PolicyDecoder()
    try:
        while True:
            request = decoder.next()
            if request is not None:
                answer = encode_action((yield from action(request)))
                yield from _send(writes, answer)
                continue
            seconds = IDLE_SECONDS if decoder.is_between else REQUEST_SECONDS
            is_readable = yield Ready(reads, seconds, can_be_abandoned=True, again=True)
            data = os.read(reads, _RECEIVE_BYTES) if is_readable else b""
            if not data:
                return
            decoder.feed(data)
    except ProtocolError as error:
        log.warning(f"policy: {error}: hanging up")
    except OSError as error:
        log.debug(f"policy: {log.errno_text(error)}")


def _send(writes: int, data: bytes) -> Steps[None]:
    """Write all of it. Raises: OSError, also for a client that does not read."""
    while data:
        try:
            data = data[os.write(writes, data) :]
        except BlockingIOError:
            if not (yield Ready(writes, REQUEST_SECONDS, writes=True)):
                raise TimeoutError from None
