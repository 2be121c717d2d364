"""Names of main.cf: unknown, misspelled, read-only, and the user's own."""

from __future__ import annotations

import pytest

from postvirt.inspection.problem import Problem
from tests.harness.installations import Installation, problems_of

MISSPELLED = [
    ("virtual_mailbox_map", "did you mean virtual_mailbox_maps?"),
    ("virtual_uid_map", "did you mean virtual_uid_maps?"),
    ("virtual_alias_map", "did you mean virtual_alias_maps?"),
    ("virtual_recipient_limt", "did you mean virtual_recipient_limit?"),
    ("Virtual-Mailbox-Base", "did you mean virtual_mailbox_base?"),
    ("smtpd_recipient_restriction", "did you mean smtpd_recipient_restrictions?"),
    ("virtual_xyzzy", "remove it"),
    ("xyzzy", "remove it"),
    (
        "dovecot_destination_recipient_limit",
        "remove it; master.cf has no transport dovecot",
    ),
]


def problem(installation: Installation, code: str) -> Problem:
    (found,) = [one for one in problems_of(installation) if one.code == code]
    return found


@pytest.mark.parametrize(("name", "remedy"), MISSPELLED)
def test_a_misspelled_name(name: str, remedy: str, installation: Installation) -> None:
    installation.set(**{name: "x"})
    found = problem(installation, "PV003")
    assert found.text == f"unused parameter: {name}=x"
    assert (found.origin.source, found.origin.column) == (f"{name} = x", 0)
    assert (found.severity, found.remedy) == ("warning", remedy)


def test_a_command_only_for_what_is_certain(installation: Installation) -> None:
    """The right name has a value already: which one is meant?"""
    installation.set(virtual_mailbox_map="x")
    assert problem(installation, "PV003").commands == ()
    installation.set(virtual_mailbox_map=None, virtual_mailbox_limt="x")
    assert len(problem(installation, "PV003").commands) == 2


@pytest.mark.parametrize("name", ["process_id", "process_name", "service_name"])
def test_a_name_that_cannot_be_set(name: str, installation: Installation) -> None:
    installation.set(**{name: "x"})
    assert problem(installation, "PV004").severity == "warning"


def test_what_is_no_mistake(installation: Installation) -> None:
    """The user's own names, and those of transports, tables, restriction classes."""
    installation.master_cf(
        "virtual unix - n n - - virtual -o virtual_mailbox_limit=$their_limit\n"
        "slow unix - - n - - smtp\n"
    )
    installation.set(
        virtual_root=str(installation.mail),
        virtual_mailbox_base="$virtual_root",
        their_limit="51200000",
        slow_destination_rate_delay="1s",
        virtual_destination_rate_delay="1s",
        smtpd_restriction_classes="local_only",
        local_only="reject",
        transport_maps="sqlite:routes",
        routes_dbpath="/none",
        routes_query="SELECT 1 WHERE '%s' = ''",
    )
    codes = {one.code for one in problems_of(installation)}
    assert not codes & {"PV003", "PV004", "PV007"}
