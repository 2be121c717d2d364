"""Which directories belong to one owner alone."""

from __future__ import annotations

import pytest

from postvirt.inspection.mailboxes.common_directories import CommonDirectories
from postvirt.model.mailbox import Owner

ONE, OTHER = Owner(5000, 5000), Owner(5001, 5000)


@pytest.mark.parametrize(
    ("others", "directory", "is_used"),
    [
        ((b"/mail/b/x/",), b"/mail/a", False),
        ((b"/mail/a/x/",), b"/mail/a", True),
        ((b"/mail/b/x/",), b"/mail", True),
        ((b"/mail/mbox",), b"/mail/a", True),
        # Somewhere below /mail is all that is known.
        ((b"/mail/b/x/", b"/mail/c/x/"), b"/mail/a", True),
        ((b"/x", b"///mail/b/"), b"/mail/a", True),
        ((), b"/mail", False),
    ],
)
def test_a_directory_that_others_may_use(
    others: tuple[bytes, ...], directory: bytes, is_used: bool
) -> None:
    found = CommonDirectories()
    found.see(ONE, [b"/mail/a/one/", b"/mail/a/two/"])
    found.see(OTHER, others)
    assert found.may_be_used_by_others(directory, ONE) is is_used
