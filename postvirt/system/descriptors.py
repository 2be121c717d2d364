"""Close a descriptor when it does not matter any more whether that succeeds.

close(2) may report an error, but the descriptor is gone all the same. Where the data is
on disk by then, or will not be used, such an error must not turn a delivery that has
succeeded into one that is tried again. (mailbox.message.hand_over is for errors that
count.)

Raises: nothing.
"""

from __future__ import annotations

import os


def close(fd: int) -> None:
    """Close a descriptor."""
    try:
        os.close(fd)
    except OSError:
        pass
