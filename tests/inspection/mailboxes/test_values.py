"""Values that are not the paths that were meant, among others that are."""

from __future__ import annotations

import pytest

from tests.harness.installations import Installation, problems_of


@pytest.mark.root
def test_no_directory_is_created_for_what_was_not_meant_as_a_path(
    installation: Installation,
) -> None:
    """Other findings about the same mailbox would only mislead."""
    installation.mailboxes(
        {
            "a@example.com": "example.com/a/   # Ann",
            "b@example.com": f"{installation.mail}/example.com/b",
            "c@example.com": "|/usr/bin/procmail",
            "d@example.com": "/dev/null",
            "e@example.com": "e@example.org",
            "f@example.com": "example.com/f/Maildir",
        }
    )
    found = [one for one in problems_of(installation) if one.severity != "info"]
    codes = ["PV218", "PV218", "PV218", "PV219", "PV220", "PV221"]
    assert sorted(one.code for one in found) == codes
    assert not any(one.commands for one in found)


@pytest.mark.root
def test_the_others_are_walked_to(installation: Installation) -> None:
    installation.mailboxes({"a@example.com": "OK", "b@example.com": "example.com/b"})
    codes = {one.code for one in problems_of(installation) if one.severity == "error"}
    assert codes == {"PV220", "PV204"}


@pytest.mark.root
def test_many_different_values_are_no_more_problems_than_causes(
    installation: Installation,
) -> None:
    installation.mailboxes({f"u{n}@example.com": f"{n}" for n in range(100)})
    found = [one for one in problems_of(installation) if one.code == "PV220"]
    assert len(found) == 21
    assert found[-1].text == "80 more values of that kind"
