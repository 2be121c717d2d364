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
]
# Of add-ons, other versions, and of transports that only other hosts have.
OF_OTHERS = [
    "dovecot_destination_recipient_limit",
    "policyd-spf_time_limit",
    "slow_destination_rate_delay",
    "slow_destination_concurrency_limit",
    "smtp-amavis_destination_recipient_limit",
    "enable_server_options",
    "mua_client_restrictions",
    "smtp_connection_cache_reuse_limit",
    "tls_dane_digest_agility",
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


def test_the_others_are_one_problem(installation: Installation) -> None:
    """The names that look like a typing error are still told apart."""
    names = [f"xyzzy{number}" for number in range(20)]
    installation.set(virtual_uid_map="x", **dict.fromkeys(names, "x"))
    texts = [one.text for one in problems_of(installation) if one.code == "PV003"]
    listed = ", ".join(names[:12])
    assert sorted(texts) == [
        "unused parameter: virtual_uid_map=x",
        f"unused parameters: {listed} and 8 more",
    ]


def test_names_of_others_are_notes(installation: Installation) -> None:
    installation.set(**dict.fromkeys(OF_OTHERS, "x"))
    found = [one for one in problems_of(installation) if one.code == "PV003"]
    assert [one.severity for one in found] == ["info", "info"]
    told = " ".join([one.text for one in found])
    assert [name for name in OF_OTHERS if name not in told] == []


def test_a_misspelled_name_of_a_transport(installation: Installation) -> None:
    installation.set(vritual_destination_recipient_limit="1")
    found = problem(installation, "PV003")
    assert found.remedy == "did you mean virtual_destination_recipient_limit?"


@pytest.mark.parametrize("parameter", ["proxy_read_maps", "proxy_write_maps"])
def test_tables_that_nothing_uses_may_be_allowed(
    parameter: str, installation: Installation
) -> None:
    """A name that looks like a typing error is told all the same."""
    allowed = "$virtual_mailbox_limit_maps $my_maps $tls_trace_rate_limit"
    installation.set(**{parameter: f"{allowed} $virtual_mailbx_maps"})
    found = problem(installation, "PV007")
    assert found.text == f"{parameter} refers to $virtual_mailbx_maps, which is not set"
    assert found.remedy == "did you mean $virtual_mailbox_maps?"


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


def test_names_of_a_newer_postfix(installation: Installation) -> None:
    """The installed postconf(1) knows them."""
    program = installation.etc / "postconf"
    program.write_text("#!/bin/sh\necho brand_new_limit = 1\n")
    program.chmod(0o755)
    installation.set(
        command_directory=str(installation.etc),
        virtual_recipient_limit="$brand_new_limit",
        brand_new_limit="2 # comment",
    )
    codes = {one.code for one in problems_of(installation)}
    assert not codes & {"PV003", "PV007"}
    assert "PV015" in codes
    installation.set(brand_new_limit=None, brand_new_limt="2")
    found = problem(installation, "PV003")
    assert found.remedy == "did you mean brand_new_limit?"
    assert not [one for one in problems_of(installation) if one.code == "PV007"]
