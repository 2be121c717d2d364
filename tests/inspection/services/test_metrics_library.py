"""Metrics without the library that serves them."""

from __future__ import annotations

import importlib.util

import pytest

from postvirt.inspection.services.metrics_library import check_metrics
from tests.harness.installations import Installation, subject_of

ADDRESS = "127.0.0.1:9154"


@pytest.mark.parametrize(
    ("address", "is_installed", "codes"),
    [
        (ADDRESS, False, ["PV510"]),
        (ADDRESS, True, []),
        ("", False, []),
    ],
    ids=["missing", "installed", "not-wanted"],
)
def test_an_address_for_metrics_needs_the_library(
    address: str,
    is_installed: bool,
    codes: list[str],
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def find_spec(name: str) -> object:
        asked.append(name)
        return object() if is_installed else None

    installation.set(postvirt_metrics_address=address)
    subject = subject_of(installation)
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    found = list(check_metrics(subject))
    assert [one.code for one in found] == codes
    assert asked == (["prometheus_client"] if address else [])
    for problem in found:
        assert problem.parameter == "postvirt_metrics_address"
        assert problem.origin.source == f"postvirt_metrics_address = {ADDRESS}"
        assert "postvirt[metrics]" in problem.remedy
