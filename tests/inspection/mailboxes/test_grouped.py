"""One problem for a cause, however often it is met."""

from __future__ import annotations

from postvirt.inspection.mailboxes.grouped import Grouped


def test_examples_and_a_number() -> None:
    grouped: Grouped[str, int] = Grouped()
    for number in range(500):
        grouped.add("cause", b"user%d" % number, number % 4)
    [(cause, group)] = grouped
    assert (cause, group.details, group.has_all_details) == (
        "cause",
        [0, 1, 2, 3],
        True,
    )
    assert group.counted("mailbox") == "500 mailboxes (user0, user1, user2, ...)"


def test_few_are_named_all() -> None:
    grouped: Grouped[str, None] = Grouped()
    grouped.add("cause", "bob", None)
    assert [group.counted("entry") for _, group in grouped] == ["1 entry (bob)"]


def test_details_end_somewhere() -> None:
    grouped: Grouped[str, int] = Grouped()
    for number in range(500):
        grouped.add("cause", "bob", number)
    [(_, group)] = grouped
    assert len(group.details) == 10
    assert not group.has_all_details


def test_causes_end_somewhere() -> None:
    """A million causes need no memory, and are counted."""
    grouped: Grouped[int, None] = Grouped()
    for number in range(500):
        grouped.add(number, "bob", None)
    assert len(list(grouped)) == 20
    assert grouped.ungrouped == 480
