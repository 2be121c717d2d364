"""What hides what in a report, and what does not."""

from __future__ import annotations

from tests.harness.installations import Installation, problems_of


def test_a_default_that_stands_in_for_a_bad_value_is_not_found_wrong(
    installation: Installation,
) -> None:
    installation.set(virtual_mailbox_base="", virtual_uid_maps="${x")
    found = [(one.code, one.parameter) for one in problems_of(installation)]
    assert [code for code, _ in found if code != "PV209"] == ["PV002", "PV002"]
