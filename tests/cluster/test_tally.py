"""What is wrong with mail is counted, so that a promise that is broken shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.cluster.stream import text_of
from tests.cluster.tally import Tally, tally

ADDRESS = "bob@example.com"


def stream(*accepted: int) -> Any:
    """One that has sent these, each of which was tried once."""
    log = SimpleNamespace(
        tries=Counter(accepted),
        bounced=[],
        deferred=Counter(),
        warnings=Counter(),
    )
    host = SimpleNamespace(name="one")
    return SimpleNamespace(
        log=log,
        host=host,
        accepted={number: [ADDRESS] for number in accepted},
        unsure={},
        refused=[],
    )


def counted(tmp_path: Path, files: dict[str, bytes], *accepted: int) -> Tally:
    new = tmp_path / "box" / "new"
    new.mkdir(parents=True)
    for name, content in files.items():
        (new / name).write_bytes(content)
    return tally([stream(*accepted)], tmp_path, {ADDRESS: ["box/"]}, {})


def message(number: int) -> bytes:
    return b"Subject: %d\n\n%b" % (number, text_of(number))


def test_what_arrives_once_and_whole_is_kept(tmp_path: Path) -> None:
    found = counted(tmp_path, {"a": message(1), "b": message(2)}, 1, 2)
    assert found.is_kept
    assert (found.accepted, found.delivered) == (2, 2)


def test_a_lost_message_breaks_the_promise(tmp_path: Path) -> None:
    found = counted(tmp_path, {"a": message(1)}, 1, 2)
    assert found.lost == [(2, ADDRESS)]
    assert not found.is_kept


def test_so_does_a_torn_one(tmp_path: Path) -> None:
    found = counted(tmp_path, {"a": message(1), "b": message(2)[:-4]}, 1)
    assert len(found.torn) == 1
    assert not found.is_kept


def test_and_a_copy_that_was_not_tried(tmp_path: Path) -> None:
    found = counted(tmp_path, {"a": message(1), "b": message(1)}, 1)
    assert (found.doubled, len(found.excessive)) == (1, 1)
    assert not found.is_kept
