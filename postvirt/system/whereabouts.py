"""In whose mailbox this process is working, for the process that watches it.

A system call in an owner's mailbox may never return: the owner can hold a lock of the
kernel on a directory, or the mailbox may be on a file server that does not answer. A
process that hangs there cannot say so. It therefore notes beforehand where it goes
(mailbox.inside), and gives a sign of life whenever it makes progress; and before it
goes anywhere, it finds out whether another process hangs there.

A process that no other one watches writes notes that nothing reads.

Raises: nothing.
"""

from __future__ import annotations

from typing import Final, Protocol

# A process that has been in one system call for so long hangs. Until then the disk may
# just be busy. Others may have waited for more than a second before it accepted them.
HUNG_SECONDS: Final = 4.0

# So does a commit, which waits for everything that the disk has to do. A message whose
# commit is given up too early comes twice.
COMMIT_HUNG_SECONDS: Final = 5.0


class Notes(Protocol):
    """Where a process notes what it is doing."""

    def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
        """The next system calls are made in this mailbox, as this user.

        commits    they only commit what was written there
        """

    def leave(self) -> None:
        """They have returned."""

    def beat(self) -> None:
        """A sign of life."""


class Hung(Protocol):
    """The mailboxes in which a process hangs."""

    def seconds(self, path: bytes, uid: int) -> float | None:
        """For how long mail for this mailbox has had to wait; None: it need not."""


class _Unwatched:
    def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
        pass

    def leave(self) -> None:
        pass

    def beat(self) -> None:
        pass

    def seconds(self, path: bytes, uid: int) -> None:
        pass


# Each process has one of both.
notes: Notes = _Unwatched()
hung: Hung = _Unwatched()


def report_to(own_notes: Notes, hung_mailboxes: Hung) -> None:
    """Note there from now on where this process works, and find there what hangs."""
    global notes, hung
    notes, hung = own_notes, hung_mailboxes
