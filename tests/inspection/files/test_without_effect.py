"""Parameters of main.cf that the delivery agent does not use."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    ("parameters", "severity"),
    [
        ({"mailbox_size_limit": "1000000"}, "warning"),
        ({"mailbox_size_limit": "9", "virtual_mailbox_limit": "99999999"}, "info"),
        ({"mailbox_transport": "lmtp:unix:dovecot"}, "warning"),
        ({"mailbox_transport": "lmtp:x", "virtual_transport": "virtual"}, "info"),
        ({"home_mailbox": "Maildir/"}, "info"),
        ({"mailbox_command": "procmail"}, "info"),
    ],
)
def test_a_warning_only_where_an_equivalent_is_missing(
    parameters: dict[str, str], severity: str, installation: Installation
) -> None:
    installation.set(mydestination="", **parameters)
    (found,) = [one for one in problems_of(installation) if one.code == "PV009"]
    assert found.severity == severity
