"""What is said about domains in several lists."""

from __future__ import annotations

import pytest

from tests.harness.installations import Installation, problems_of

pytestmark = pytest.mark.root


def test_a_default_that_repeats_another_list_is_not_reported(
    installation: Installation,
) -> None:
    """relay_domains was $mydestination before Postfix 3.0."""
    installation.set(
        compatibility_level="0", relay_domains=None, mydestination="example.com"
    )
    found = [one for one in problems_of(installation) if one.code == "PV301"]
    assert [one.parameter for one in found] == ["mydestination"]
