"""The last byte of a path tells a maildir from an mbox file."""

import pytest

from postvirt.model.mailbox import Mailbox, Owner


@pytest.mark.parametrize(
    ("path", "is_maildir"),
    [
        (b"/mail/user/", True),
        (b"/mail/user", False),
        (b"/", True),
        (b"/mail/./", True),
        (b"/mail/user/.", False),
        (b"", False),
    ],
)
def test_a_final_slash_makes_a_maildir(path, is_maildir):
    assert Mailbox(path, Owner(1000, 1000)).is_maildir is is_maildir
