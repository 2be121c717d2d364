"""One problem for a cause, however often it is met."""

from __future__ import annotations

from postvirt.inspection.mailboxes.grouped import Tally


def test_examples_and_a_number() -> None:
    tally: Tally[str, int] = Tally()
    for number in range(500):
        tally.add("cause", b"user%d" % number, number % 4)
    [(cause, same)] = tally
    assert (cause, same.details, same.has_all_details) == ("cause", [0, 1, 2, 3], True)
    assert same.of("mailbox") == "500 mailboxes (user0, user1, user2, ...)"


def test_few_are_named_all() -> None:
    tally: Tally[str, None] = Tally()
    tally.add("cause", "bob", None)
    assert [same.of("entry") for _, same in tally] == ["1 entry (bob)"]


def test_details_end_somewhere() -> None:
    tally: Tally[str, int] = Tally()
    for number in range(500):
        tally.add("cause", "bob", number)
    [(_, same)] = tally
    assert len(same.details) == 10
    assert not same.has_all_details


def test_causes_end_somewhere() -> None:
    """A million causes need no memory, and are counted."""
    tally: Tally[int, None] = Tally()
    for number in range(500):
        tally.add(number, "bob", None)
    assert len(list(tally)) == 20
    assert tally.left_out == 480
