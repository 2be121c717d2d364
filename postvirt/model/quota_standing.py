"""How a mailbox stands with its quota after a delivery, for those who observe outcomes.

Raises: nothing.
"""

from __future__ import annotations

from typing import Final, Literal

from postvirt.model.quota import Limit, Use

# Why there is no room: the message is larger than the limit, or it would be too many
# bytes, or too many messages.
Refusal = Literal["message", "size", "messages"]


class Standing:
    """What a mailbox with a limit holds after a delivery, or when mail is refused.

    before         what it held before the delivery
    use            what it holds now
    refusal        why the message did not fit, None if it did
    counted        the number of files that were counted for this delivery, in so many
                   nanoseconds; None if that was not necessary
    warned         the percentage about which the user was warned, 0 for none
    """

    __slots__ = (
        "before",
        "counted",
        "counted_ns",
        "limit",
        "refusal",
        "use",
        "warned",
    )

    def __init__(
        self,
        limit: Limit,
        before: Use,
        use: Use,
        refusal: Refusal | None = None,
        *,
        counted: int | None = None,
        counted_ns: int = 0,
        warned: int = 0,
    ) -> None:
        self.limit: Final = limit
        self.before: Final = before
        self.use: Final = use
        self.refusal: Final = refusal
        self.counted: Final = counted
        self.counted_ns: Final = counted_ns
        self.warned: Final = warned
