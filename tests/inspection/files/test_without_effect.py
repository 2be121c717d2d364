"""Parameters of main.cf that the delivery agent does not use."""

from __future__ import annotations

from tests.harness.installations import Installation, problems_of


def test_the_caret_is_below_the_name(installation: Installation) -> None:
    """Not below the value, which is not what is wrong."""
    installation.set(mailbox_size_limit="100000000", mydestination="")
    (found,) = [one for one in problems_of(installation) if one.code == "PV009"]
    assert found.parameter == "mailbox_size_limit"
    assert found.origin.source == "mailbox_size_limit = 100000000"
    assert found.origin.column == 0


def test_what_the_package_writes_is_no_mistake(installation: Installation) -> None:
    installation.set(mailbox_size_limit="0", mydestination="")
    assert not [one for one in problems_of(installation) if one.code == "PV009"]
