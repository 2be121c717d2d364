"""Dovecot and Courier agree with each other, and with a simple count, about a maildir.

They do while only one of them works at a time: what is wrong beside postvirt is not due
to how the tests count.
"""

from __future__ import annotations

import random

import pytest

from postvirt.standin.instance import Instance
from tests.shared_maildirs.trial import change_in_turn, shared

pytestmark = pytest.mark.root

_SEED = 19


@pytest.mark.parametrize("counts_trash", [True, False])
@pytest.mark.parametrize("limit", ["40000000S", "300000S,100C"], ids=["roomy", "full"])
def test_they_agree(instance: Instance, limit: str, counts_trash: bool) -> None:
    """With room for all, and in a maildir that is often full."""
    source = random.Random(_SEED)
    with (
        shared(instance, limit, counts_trash=counts_trash) as maildir,
        maildir.others(1, _SEED) as writers,
    ):
        for _ in range(8):
            change_in_turn(writers, 20, source)
            answers = maildir.answers()
            assert answers.agree(), answers
