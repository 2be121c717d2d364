"""The disks that a power cut may leave, and what is wrong with them.

What was written before the last flush is on the disk; of what was written since, any
part may be. Which part is tried: nothing, everything up to a write, everything from a
write on (the disk took them in reversed order), random ones, and a write that is torn.

A cut between two flushes is held to all acknowledgements before the later one: the disk
need not have begun with the writes before them. So an image is examined once, for the
strongest promise that was given while it could be found on the disk.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.power_cut import next_mail
from tests.power_cut.devices import LoopDevice, copy_sparse, mounted
from tests.power_cut.mail import Delivery
from tests.power_cut.recorder import Acknowledged, Event, Flush, Write
from tests.power_cut.recording import Recording

_KEPT_PROBLEMS = 20
_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Epoch:
    """From one flush to the next: its writes, and what is acknowledged by its end."""

    writes: tuple[Write, ...]
    acknowledged: frozenset[Delivery]


@dataclass(slots=True)
class Findings:
    """How many cuts were made, and the first that broke the promise, with problems."""

    cuts: int = 0
    broken: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, problems: list[str]) -> None:
        """One more cut."""
        self.add(Findings(1, bool(problems), problems))

    def add(self, other: Findings) -> None:
        """Count these too."""
        self.cuts += other.cuts
        self.broken += other.broken
        self.problems += other.problems[: _KEPT_PROBLEMS - len(self.problems)]


def epochs(events: tuple[Event, ...]) -> Iterator[Epoch]:
    """The recording in pieces."""
    writes: list[Write] = []
    acknowledged: set[Delivery] = set()
    for event in (*events, Flush()):
        match event:
            case Write():
                writes.append(event)
            case Acknowledged(number, recipient):
                acknowledged.add((number, recipient))
            case Flush():
                yield Epoch(tuple(writes), frozenset(acknowledged))
                writes.clear()


def survivors(
    writes: tuple[Write, ...], tear_bytes: int, source: random.Random
) -> tuple[str, tuple[Write, ...]]:
    """Some part of these writes, and how to call it."""
    count = len(writes)
    place = source.randrange(count)
    match source.randrange(4):
        case 0:
            return f"the first {place + 1}", writes[: place + 1]
        case 1:
            return f"all but the first {place}", writes[place:]
        case 2:
            chosen = sorted(source.sample(range(count), source.randint(1, count)))
            names = ", ".join(str(one + 1) for one in chosen)
            return f"numbers {names}", tuple(writes[one] for one in chosen)
        case _:
            others = writes[:place] + writes[place + 1 :]
            kept = source.sample(others, source.randint(0, len(others)))
            torn = tuple(_torn(writes[place], tear_bytes, source))
            return f"number {place + 1} torn, {len(kept)} others", (*kept, *torn)


def _torn(write: Write, unit: int, source: random.Random) -> Iterator[Write]:
    # The first block is the one of ext4's superblock, which has nothing to be mended
    # from when one of its sectors is old.
    unit = unit if write.offset else _BLOCK_BYTES
    for start in range(0, len(write.data), unit):
        if source.random() < 0.5:
            yield Write(write.offset + start, write.data[start : start + unit])


def explore(
    recording: Recording,
    root: Path,
    source: random.Random,
    *,
    per_epoch: int = 1,
    limit: int | None = None,
) -> Findings:
    """Cut the power right after each flush, and per_epoch times before the next one.

    limit   make no more cuts than these, chosen at random
    """
    durable, scratch = root / "durable", root / "scratch"
    folder = root / "examined"
    folder.mkdir(exist_ok=True)
    copy_sparse(recording.base, durable)
    copy_sparse(recording.base, scratch)
    pieces = tuple(epochs(recording.events))
    plan = _plan(pieces, per_epoch)
    if limit is not None and limit < len(plan):
        plan = sorted(source.sample(plan, limit))
    findings = Findings()
    written = 0
    with closing(LoopDevice(scratch)) as device:
        for number, has_lost_all in plan:
            for epoch in pieces[written:number]:
                _apply(epoch.writes, durable)
            written = number
            epoch = pieces[number]
            name = "nothing"
            part: tuple[Write, ...] = ()
            if not has_lost_all:
                name, part = survivors(
                    epoch.writes, recording.file_system.tear_bytes, source
                )
            copy_sparse(durable, scratch)
            _apply(part, scratch)
            head = f"after flush {number}, with {name} of {len(epoch.writes)} writes"
            problems = examine(recording, epoch, device, scratch, folder)
            findings.count([f"{head}: {one}" for one in problems])
    return findings


def _plan(pieces: tuple[Epoch, ...], per_epoch: int) -> list[tuple[int, bool]]:
    """Where to cut: the epoch, and whether all its writes are lost."""
    plan: list[tuple[int, bool]] = []
    promised: frozenset[Delivery] | None = None
    for number, epoch in enumerate(pieces):
        if epoch.acknowledged != promised:
            plan.append((number, True))
        if epoch.writes:
            plan += [(number, False)] * per_epoch
        # After writes it is another disk, otherwise another promise is needed.
        promised = None if epoch.writes else epoch.acknowledged
    return plan


def examine(
    recording: Recording, epoch: Epoch, device: LoopDevice, image: Path, folder: Path
) -> list[str]:
    """What is wrong with an image; it is mounted, and so changed."""
    file_system = recording.file_system
    if not file_system.repair(image):
        return ["it cannot be repaired"]
    device.forget_buffers()
    try:
        with mounted(file_system, device, folder):
            problems = recording.promise.broken(folder, epoch.acknowledged)
            problems += next_mail.lost(folder)
            problems += next_mail.miscounted(folder)
    except OSError as error:
        problems = [f"it cannot be used: {error}"]
    if file_system.has_errors(image):
        problems.append("the file system has errors")
    return problems


def _apply(writes: tuple[Write, ...], image: Path) -> None:
    fd = os.open(image, os.O_WRONLY)
    for write in writes:
        os.pwrite(fd, write.data, write.offset)
    os.close(fd)
