"""postvirt, Dovecot and Courier on one maildir, all at once: what they say is right.

Meanwhile, each of the others may lose a message in a count, because none of them locks.
The next delivery of postvirt makes that good.
"""

from __future__ import annotations

import pytest

from postvirt.standin.instance import Instance
from tests.shared_maildirs.beside import beside

pytestmark = pytest.mark.root


@pytest.mark.parametrize("counts_trash", [True, False])
@pytest.mark.parametrize("limit", ["40000000S", "300000S,100C"], ids=["roomy", "full"])
def test_they_agree(instance: Instance, limit: str, counts_trash: bool) -> None:
    """With room for all, and in a maildir that is often full."""
    with (
        beside(instance, limit, 19, counts_trash=counts_trash) as both,
        both.all(2) as writers,
    ):
        for _ in range(3):
            both.change(writers, 50)
            answers = both.answers_after_next_delivery()
            assert answers.agree(), answers


def test_they_agree_after_workers_were_killed(instance: Instance) -> None:
    """Wherever they are at that moment: tests/faults/test_kills.py tries all places."""
    with (
        beside(instance, "40000000S", 19, counts_trash=False) as both,
        both.all(2, may_be_killed=True) as writers,
    ):
        for _ in range(2):
            with both.killing():
                both.change(writers, 120)
            answers = both.answers_after_next_delivery()
            assert answers.agree(), answers
