"""What the sender of mail over quota is told, by a delivery and by smtpd(8).

Parity: deliver_maildir() in the VDA patch.
Raises: nothing.
"""

from __future__ import annotations

from postvirt.config.parameters import Settings
from postvirt.model.outcome import Dsn
from postvirt.model.text import text


def over_quota(settings: Settings, found: bytes | None, *, is_too_large: bool) -> Dsn:
    """The status, and the reason.

    found           what virtual_maildir_limit_message_maps has for the recipient
    is_too_large    the message does not even fit into an empty mailbox
    """
    is_permanent = is_too_large or settings.virtual_overquota_bounce
    reason = settings.virtual_maildir_limit_message if found is None else text(found)
    return Dsn("5.2.2" if is_permanent else "4.2.2", reason)
