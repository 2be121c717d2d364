"""What every Postfix program reads is read in the same order, with the same bounds."""

from itertools import pairwise

import pytest

from postvirt.config.parameters import PARAMETERS
from postvirt.config.reading_order import parameters_read, reading_order
from postvirt.config.rows import Parameter
from tests.harness.installed_postfix import VERSION

SHARED = [name for name in parameters_read() if name not in PARAMETERS]
BAD = {"string": "", "integer": "0", "boolean": "maybe", "time": "0"}


def test_every_parameter_is_read_once():
    names = [step.name for step in reading_order() if isinstance(step, Parameter)]
    assert len(names) == len(set(names))
    assert [name for name in names if name in PARAMETERS] == list(PARAMETERS)


@pytest.mark.postfix
def test_postfix_has_the_same_bounds(main_cf, complaints, our_complaints):
    directories = [
        main_cf(f"{name} = {BAD[parameters_read()[name].kind]}\n") for name in SHARED
    ]
    for name, directory, theirs in zip(
        SHARED, directories, complaints(directories), strict=True
    ):
        assert (name, our_complaints(directory)) == (name, theirs)


@pytest.mark.postfix
def test_postfix_has_the_same_order(main_cf, complaints, our_complaints):
    """Two neighbours are bad; the first of them is named."""
    order = [row for row in parameters_read().values() if row.kind in BAD]
    last = next(n for n, row in enumerate(order) if row.name == "in_flow_delay")
    # Postfix 3.11 reads the second one first.
    moved = ("alias_database", "mail_release_date") if VERSION >= (3, 11) else ()
    broken = [row.name for row in order[: last + 1]]
    cases = [
        f"{second} = ${{{second}\n{first} = ${{{first}\n"
        for first, second in pairwise(broken)
        if {first, second} & set(SHARED) and (first, second) != moved
    ]
    directories = [main_cf(case) for case in cases]
    for case, directory, theirs in zip(
        cases, directories, complaints(directories), strict=True
    ):
        assert theirs
        assert (case, our_complaints(directory)) == (case, theirs)
