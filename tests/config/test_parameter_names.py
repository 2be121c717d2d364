"""The names that only the tools know are Postfix's own."""

import pytest

from postvirt.config.parameter_names import (
    LEGACY,
    MACHINE_MADE,
    NEWER,
    READ_ONLY,
    builtin_defaults,
    names_elsewhere,
    service_defaults,
)
from postvirt.config.parameters import PARAMETERS

VERSION = {"mail_version", "mail_release_date"}


@pytest.mark.postfix
def test_the_names_and_defaults_are_those_of_postconf(postconf, tmp_path):
    genuine = {}
    for line in postconf("-c", str(tmp_path), "-d"):
        name, _, default = line.partition(" =")
        genuine[name] = default.strip()
    defaults = builtin_defaults()
    known = (defaults.keys() - LEGACY - NEWER) | MACHINE_MADE | READ_ONLY
    if not genuine["mail_version"].startswith("3.7."):
        # Others have other defaults, and more names; 3.11 lacks one.
        assert known - genuine.keys() <= {"tls_legacy_public_key_fingerprints"}
        return
    assert genuine.keys() == known
    for name in genuine.keys() - MACHINE_MADE - READ_ONLY - VERSION:
        assert (name, defaults[name]) == (name, genuine[name])


def test_newer_names_are_postvirt_s_own():
    assert PARAMETERS.keys() >= NEWER


def test_a_parameter_is_in_one_place_only():
    per_service = service_defaults("virtual", "virtual").keys()
    others = per_service | MACHINE_MADE | READ_ONLY
    assert not builtin_defaults().keys() & others
    assert PARAMETERS.keys() <= builtin_defaults().keys() | others


def test_a_transport_brings_its_parameters():
    brought = service_defaults("slow", "virtual")
    limit = "destination_concurrency_limit"
    assert brought[f"slow_{limit}"] == f"$default_{limit}"
    name = "initial_destination_concurrency"
    assert brought[f"slow_{name}"] == f"${name}"
    assert brought == service_defaults("slow", "postvirt-virtual")
    assert service_defaults("slow", "smtpd") == {}
    assert service_defaults("x", "spawn") == {"x_time_limit": "$command_time_limit"}


def test_names_elsewhere_are_of_others():
    assert len(names_elsewhere()) > 100
    assert not names_elsewhere() & (builtin_defaults().keys() | MACHINE_MADE | NEWER)
