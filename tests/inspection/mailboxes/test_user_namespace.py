"""Owners who do not exist in the user namespace of a container."""

from __future__ import annotations

import pytest

from tests.harness.child import in_child
from tests.harness.installations import Installation, problems_of
from tests.harness.user_namespace import lower_limits

# With uid 0 and mail_owner, without the owner of the mailboxes.
FEW = "0 0 5000"


@pytest.mark.root
@pytest.mark.parametrize(
    "entries", [{"bob@example.com": "bob/", "mbox@example.com": "mbox"}, {}]
)
def test_owners_whom_not_even_root_can_act_as(
    installation: Installation, entries: dict[str, str]
) -> None:
    installation.mailboxes(entries)

    def errors() -> list[tuple[str, str]]:
        found = problems_of(installation)
        return [(one.code, one.text) for one in found if one.severity == "error"]

    def look() -> list[tuple[str, str]]:
        lower_limits(FEW)
        return errors()

    assert errors() == []
    of = ": 2 mailboxes" if entries else ""
    text = f"not even root can act as uid 5000 gid 5000{of}"
    assert in_child(look) == [("PV217", text)]
