"""Make the files of many deliveries durable with as few commits as is safe.

Deliveries hand in files to be written out, and later to be committed. Both are gathered
while the engine has anything else to run, and are then done for all files at once, for
each disk separately.

On a disk whose file system keeps one ordered log (ext4, xfs; see system.file_systems):

    write out the data of all files and wait for it, together
    (the deliveries move their names from tmp/ to new/)
    commit, for each owner, the file that received its name last

Why this is safe. When a name is created, the data it leads to has left memory, and the
change of the inode that says where the data is has been logged. So no state of the log
has a name without its message: a power cut leaves the message in tmp/, complete in
new/, or nowhere. The log is written in order, so the commit of the name that was
created last includes all earlier changes: names, inodes, new directories. The commit
makes the disk empty its cache, so that the data is safe as well. ext4 does so with
data=ordered, data=writeback (the data was waited for) and data=journal (the data is in
the log, before the name). A file that was only appended to changed last when its data
was written, which need not be before the last name, so it is committed by itself. That
waits for its data, too, so it is only begun to be written out, for a common commit.
Owners may have replaced their file by another one, which then received no name and
commits nothing. So no owner's mail relies on the last file of another owner.

On any other disk: fsync of every file, then the names, then fsync of every directory in
which a name changed. That is the sequence that every file system must get right. Where
other machines keep the files, those that have received a name are committed once more
(FileSystems.is_remote).

While a commit is under way in the background, what is handed in gathers for the next
one. Deliveries of a client that is alone are committed in the foreground.

An error is that of the deliveries whose promise rests on the descriptor that it was
reported for, and of no others. A descriptor whose commit has failed is never committed
again: the kernel has dropped the data by then, and would report success. On a disk with
a log, the others of the same owner are then committed by their own descriptors, none of
which has failed. That proves what it always proves: an error that the kernel keeps for
one file is one of writing that file's data, and says nothing about the names and inodes
in the log. If the log itself cannot be written, ext4 and xfs shut down, and no commit
that ends after that counts, whatever it reports (durability.shutdown_of). So none does
whose name is not in the log.

A commit that takes long keeps the next one waiting for a second at most, and one that
does not end is its owner's alone (engine.commits).

Raises: nothing, whatever the kernel answers: one delivery's file never ends another's
delivery.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from postvirt.engine.commits import Commits, Errors, commit_file_system
from postvirt.model.effects import Durable, Written
from postvirt.system import durability, whereabouts
from postvirt.system.file_systems import FileSystems

# In one message. Less than that is written out in a few milliseconds.
MUCH_BYTES: Final = 1_000_000

# A commit that takes longer does not keep the next one waiting.
_SLOW_SECONDS: Final = 1.0

# Called with the answer to a delivery's effect, or with an error.
Tell = Callable[[object, OSError | None], None]
_Unwritten = tuple[Written, Tell]
_Uncommitted = tuple[Durable, Tell]


class _Disk:
    """What waits for one file system; has_log is FileSystems.orders_names.

    began    when the commit that is under way began, a time.monotonic()
    """

    __slots__ = ("began", "has_log", "is_committing", "uncommitted", "unwritten")

    def __init__(self, *, has_log: bool) -> None:
        self.has_log = has_log
        self.unwritten: list[_Unwritten] = []
        self.uncommitted: list[_Uncommitted] = []
        self.is_committing = False
        self.began = 0.0


class Disks:
    """All file systems that mail is delivered to.

    on_commit    is called with the number of files of each group that is committed
    """

    def __init__(self, on_commit: Callable[[int], None] | None = None) -> None:
        self._on_commit = on_commit
        self.file_systems = FileSystems()
        self.commits = Commits()
        self._disks: dict[tuple[int, bool], _Disk] = {}
        self.has_work = False

    def add(self, effect: Written | Durable, tell: Tell) -> None:
        """Hand in a file; `tell` is called when it is done."""
        if self.commits.hang(effect.mailbox):
            tell(None, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
            return
        self.has_work = True
        if isinstance(effect, Written):
            has_log = self.file_systems.orders_names(effect.device)
            self._disk(effect.device, has_log=has_log).unwritten.append((effect, tell))
        else:
            disk = self._disk(effect.device, has_log=effect.has_its_names)
            disk.uncommitted.append((effect, tell))

    def write_out_now(self, effect: Written) -> bool:
        """Write out the file of a delivery that is alone; False: it is to be handed in.

        That is so if it is large, or on a disk that is unknown or has no log.
        Raises: OSError.
        """
        mailbox = effect.mailbox
        if (
            mailbox is None
            or effect.size_bytes >= MUCH_BYTES
            or not self.file_systems.are_known_to_order_names(effect.device)
            or self.commits.hang(mailbox)
        ):
            return False
        whereabouts.notes.enter(mailbox.path, mailbox.owner.uid, commits=True)
        [error] = durability.write_out([effect.fd])
        whereabouts.notes.enter(mailbox.path, mailbox.owner.uid)
        if error is not None:
            raise error
        return True

    def work(self, *, in_background: bool) -> None:
        """Write everything out; for a disk where there is nothing to write, commit.

        Names that are created once a file has been written out join the next commit.
        """
        self.has_work = False
        for disk in self._disks.values():
            if disk.unwritten:
                self.has_work = self.has_work or bool(disk.uncommitted)
                self._write_out(disk, in_background=in_background)
            elif disk.uncommitted and not disk.is_committing:
                self._commit(disk, in_background=in_background)

    def go_on_without_slow(self) -> None:
        """Let no commit wait for another one that takes long; to be called often."""
        self.commits.end_overdue()
        latest = time.monotonic() - _SLOW_SECONDS
        for disk in self._disks.values():
            if disk.is_committing and disk.began < latest:
                self._end_commit(disk)

    def _disk(self, device: int, *, has_log: bool) -> _Disk:
        disk = self._disks.get((device, has_log))
        if disk is None:
            disk = self._disks[device, has_log] = _Disk(has_log=has_log)
        return disk

    def _write_out(self, disk: _Disk, *, in_background: bool) -> None:
        files, disk.unwritten = disk.unwritten, []
        waited_for = [] if disk.has_log else files
        if disk.has_log:
            files = self._begin_to_write_out(files)
        if disk.has_log and in_background:
            # Writing much takes long; only a commit does it in the background.
            waited_for = [one for one in files if one[0].size_bytes >= MUCH_BYTES]
            files = [one for one in files if one[0].size_bytes < MUCH_BYTES]

        def finish(errors: Errors) -> None:
            for effect, tell in waited_for:
                tell(disk.has_log, errors[effect.fd])

        if waited_for:
            files_of = {effect.fd: effect.mailbox for effect, _ in waited_for}
            self.commits.commit(files_of, finish, in_background=in_background)
        if disk.has_log and files:
            errors = durability.write_out([effect.fd for effect, _ in files])
            for (_, tell), error in zip(files, errors, strict=True):
                tell(True, error)

    def _begin_to_write_out(self, files: Sequence[_Unwritten]) -> list[_Unwritten]:
        """Those that have to be waited for; for the others, that is what is left to do.

        One commit is enough for all whose data was placed on the disk before it.
        """
        left = []
        for effect, tell in files:
            if not effect.by_itself:
                left.append((effect, tell))
                continue
            error = None
            if len(files) > 1 and effect.size_bytes < MUCH_BYTES:
                error = durability.begin_to_write_out(effect.fd)
            tell(True, error)
        return left

    def _commit(self, disk: _Disk, *, in_background: bool) -> None:
        files, disk.uncommitted = disk.uncommitted, []
        if self._on_commit is not None:
            self._on_commit(len(files))
        disk.is_committing, disk.began = True, time.monotonic()
        commit = self._commit_log if disk.has_log else self._commit_names
        commit(disk, files, in_background=in_background)

    def _commit_log(
        self, disk: _Disk, files: Sequence[_Uncommitted], *, in_background: bool
    ) -> None:
        chosen = _chosen([effect for effect, _ in files])

        def finish(errors: Errors) -> None:
            others = []
            for (effect, tell), fd in zip(files, chosen, strict=True):
                error = errors[fd]
                if error is None or fd == effect.fd:
                    tell(None, error)
                else:
                    others.append((effect, tell))
            if others:
                own = {effect.fd: effect.mailbox for effect, _ in others}
                finish_others = partial(self._finish_one_by_one, disk, others)
                self.commits.commit(own, finish_others, in_background=in_background)
            else:
                self._end_commit(disk)

        mailboxes = {effect.fd: effect.mailbox for effect, _ in files}
        last = {fd: mailboxes[fd] for fd in chosen}  # in their order
        self.commits.commit(last, finish, in_background=in_background)

    def _finish_one_by_one(
        self, disk: _Disk, files: Sequence[_Uncommitted], errors: Errors
    ) -> None:
        for effect, tell in files:
            tell(None, errors[effect.fd])
        self._end_commit(disk)

    def _commit_names(
        self, disk: _Disk, files: Sequence[_Uncommitted], *, in_background: bool
    ) -> None:
        concerns = _directories([effect for effect, _ in files])
        for (effect, _), fds in zip(files, concerns, strict=True):
            if effect.named_by is not None and self.file_systems.is_remote(
                effect.device
            ):
                fds.append(effect.fd)
        # Each by its own file, because the kernel reports what has failed since that
        # file was opened. Only the first of them has much to wait for.
        whole = [
            commit_file_system(effect.fd, effect.mailbox) if effect.everything else None
            for effect, _ in files
        ]

        def finish(errors: Errors) -> None:
            for (_, tell), fds, error in zip(files, concerns, whole, strict=True):
                found = [error, *(_counting(errors[fd]) for fd in fds)]
                tell(None, next(filter(None, found), None))
            self._end_commit(disk)

        descriptors = {
            fd: effect.mailbox
            for (effect, _), fds in zip(files, concerns, strict=True)
            for fd in fds
        }
        self.commits.commit(descriptors, finish, in_background=in_background)

    def _end_commit(self, disk: _Disk) -> None:
        disk.is_committing = False
        self.has_work = self.has_work or bool(disk.uncommitted)


def _chosen(effects: Sequence[Durable]) -> list[int]:
    """For each file, what to commit on a disk with a log."""
    last = {effect.named_by: effect.fd for effect in effects}
    return [
        effect.fd if effect.named_by is None else last[effect.named_by]
        for effect in effects
    ]


def _counting(error: OSError | None) -> OSError | None:
    """The error of a commit of names, if it counts."""
    return None if durability.is_unsupported(error) else error


def _directories(effects: Sequence[Durable]) -> list[list[int]]:
    """For each file, the directories to commit; one descriptor for each directory."""
    chosen: dict[tuple[int, int], int] = {}
    concerns = []
    for effect in effects:
        fds = []
        for fd, device, inode in effect.directories:
            fds.append(chosen.setdefault((device, inode), fd))
        concerns.append(fds)
    return concerns
