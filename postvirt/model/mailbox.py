"""What the lookup tables say about a recipient: a mailbox and its owner, or none."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from postvirt.model.quota import Limit

# Why a recipient is Misconfigured: a table fails, the path leads out of
# virtual_mailbox_base, there is no uid or gid, or the value is not a valid one.
Cause = Literal["", "lookup", "path", "absent", "value"]


class Owner(NamedTuple):
    """The identity that mail is written with."""

    uid: int
    gid: int


class Folder(NamedTuple):
    """The folder of a maildir that the extension of an address names.

    name       as it is in the address
    directory  its directory in the maildir
    new_name   the name of a folder to create if there is none, "" if none may be
    """

    name: str
    directory: bytes
    new_name: str = ""


class Mailbox:
    """A mailbox: virtual_mailbox_base, a slash and the table's result.

    path    of an mbox file or, with a slash at its end, of a maildir or of a folder
    limit   None while quotas are off
    folder  where mail goes if the maildir has this folder; None for the maildir itself
    root    the maildir whose quota it counts to; another path for a folder
    """

    __slots__ = ("folder", "limit", "owner", "path", "root")

    def __init__(
        self,
        path: bytes,
        owner: Owner,
        limit: Limit | None = None,
        folder: Folder | None = None,
        root: bytes = b"",
    ) -> None:
        self.path: Final = path
        self.owner: Final = owner
        self.limit: Final = limit
        self.folder: Final = folder
        self.root: Final = root or path

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mailbox)
            and self.path == other.path
            and self.owner == other.owner
            and self.folder == other.folder
        )

    def __hash__(self) -> int:
        return hash((self.path, self.owner))

    def __repr__(self) -> str:
        return f"Mailbox({self.path!r}, {self.owner!r})"

    @property
    def is_maildir(self) -> bool:
        """Whether the path names a maildir and not an mbox file."""
        return self.path.endswith(b"/")

    @property
    def may_be_folder(self) -> bool:
        """Whether the path has the name of a folder of a maildir."""
        path = self.path
        if b"/." not in path and not path.startswith(b"."):
            return False  # mostly, and soon found out
        begin = path.rfind(b"/", 0, -1) + 1
        return path.startswith(b".", begin) and path.endswith(b"/")

    @property
    def directory(self) -> bytes:
        """That of a folder in its root, b"" for the maildir itself."""
        return self.path[len(self.root) :].rstrip(b"/")

    def in_folder(self, directory: bytes) -> Mailbox:
        """The folder with this directory."""
        path = self.path + directory + b"/"
        return Mailbox(path, self.owner, self.limit, root=self.root)


class Unknown(NamedTuple):
    """The table has no mailbox for this (folded) recipient."""

    recipient: bytes


class Misconfigured:
    """What the tables say about this recipient cannot be used.

    problem is the text for the log; cause, parameter and value say the same for
    programs that group such recipients: value is the result of the parameter's tables.
    """

    __slots__ = ("cause", "parameter", "problem", "value")

    def __init__(
        self,
        problem: str,
        cause: Cause = "",
        parameter: str = "",
        value: bytes = b"",
    ) -> None:
        self.problem: Final = problem
        self.cause: Final = cause
        self.parameter: Final = parameter
        self.value: Final = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Misconfigured) and self.problem == other.problem

    def __hash__(self) -> int:
        return hash(self.problem)

    def __repr__(self) -> str:
        return f"Misconfigured({self.problem!r})"


# What the tables say about a recipient.
Resolution = Mailbox | Unknown | Misconfigured
