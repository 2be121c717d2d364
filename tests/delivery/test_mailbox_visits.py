"""A few threads at most are in one mailbox."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from postvirt.delivery import mailbox_visits
from postvirt.delivery.mailbox_visits import TooLateError, Visits


def test_others_find_room_when_one_leaves() -> None:
    visits = Visits()
    soon = time.monotonic() + 0.01
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(visits.visit(b"a", soon))
        with pytest.raises(TooLateError), visits.visit(b"a", soon):
            pass
        with visits.visit(b"b", soon):
            pass
    with visits.visit(b"a", soon):
        pass


def test_none_follows_one_that_does_not_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    visits = Visits()
    later = time.monotonic() + 60
    with visits.visit(b"a", later):
        with visits.visit(b"a", later):
            pass
        monkeypatch.setattr(mailbox_visits, "_LONG_SECONDS", 0)
        with pytest.raises(TooLateError), visits.visit(b"a", later):
            pass


def test_nothing_remains() -> None:
    visits = Visits()
    with pytest.raises(OSError, match="no"), visits.visit(b"a", 0):
        raise OSError("no")
    assert not visits._since
