"""One cause is one problem."""

from __future__ import annotations

import pytest

from tests.harness.installations import Installation, problems_of


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [
        ("virtual_minimum_uid", "100 # lowest", "error"),
        ("virtual_mailbox_maps", "static:example.com/bob/ # of all", "error"),
        ("virtual_mailbox_domains", "example.com # ours", "warning"),
    ],
)
def test_what_follows_from_a_comment(
    name: str, value: str, severity: str, installation: Installation
) -> None:
    installation.set(**{name: value})
    found = [one for one in problems_of(installation) if one.severity != "info"]
    assert [(one.code, one.severity) for one in found] == [("PV015", severity)]


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ({"virtual_mailbox_maps": "static:x no:x # y"}, {"PV015", "PV108"}),
        ({"virtual_minimum_uid": "100 # x", "soft_bounce": "x"}, {"PV002", "PV015"}),
    ],
)
def test_what_is_wrong_beside_a_comment(
    values: dict[str, str], codes: set[str], installation: Installation
) -> None:
    """Another mistake in the same line, before the comment; one in another line."""
    installation.set(**values)
    found = problems_of(installation)
    assert {one.code for one in found if one.severity == "error"} == codes


def test_a_list_that_cannot_be_read_without_a_file(installation: Installation) -> None:
    """The file is what is missing."""
    installation.master_cf("virtual unix - n n - - virtual\n")
    installation.set(virtual_mailbox_domains=f"hash:{installation.etc}/domains")
    codes = [one.code for one in problems_of(installation) if one.severity == "error"]
    assert codes == ["PV104"]
