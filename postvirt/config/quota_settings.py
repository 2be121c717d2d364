"""What the parameters say about quotas, which are off unless one of them is set.

Parity: the patch of the VDA project for virtual(8), version 13. It limits maildirs by
    virtual_mailbox_limit even when none of its parameters is set; here that asks for
    nothing, as in virtual(8) without the patch.
Raises: nothing.
"""

from __future__ import annotations

from postvirt.config.parameters import Settings
from postvirt.model.quota import Limit, QuotaRules
from postvirt.model.text import wire


def quotas_are_on(settings: Settings) -> bool:
    """Whether mailboxes have limits of their own."""
    return bool(
        settings.virtual_mailbox_limit_maps
        or settings.postvirt_mailbox_message_limit > 0
        or settings.virtual_overquota_bounce
        or settings.virtual_mailbox_limit_inbox
        or settings.virtual_maildir_extended
        or settings.virtual_create_maildirsize
    )


def default_limit(settings: Settings) -> Limit:
    """The limit of a mailbox that has none in virtual_mailbox_limit_maps.

    Postfix accepts negative numbers, which are no limits either.
    """
    return Limit(
        max(settings.virtual_mailbox_limit, 0),
        max(settings.postvirt_mailbox_message_limit, 0),
    )


def quota_rules(settings: Settings) -> QuotaRules:
    """What counts, and what is done about it."""
    return QuotaRules(
        keeps_size_file=settings.virtual_create_maildirsize
        and not settings.virtual_mailbox_limit_inbox,
        names_have_size=settings.virtual_maildir_extended,
        names_have_virtual_size=settings.postvirt_maildir_virtual_size,
        inbox_only=settings.virtual_mailbox_limit_inbox,
        trash=b""
        if settings.virtual_trash_count
        else wire(settings.virtual_trash_name),
        counts_deleted=settings.postvirt_quota_count_deleted,
        bounces=settings.virtual_overquota_bounce,
    )
