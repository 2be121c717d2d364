"""The table of parameters says what the genuine Postfix says."""

import dataclasses

import pytest

from postvirt.config.parameters import OTHER_VIRTUAL_NAMES, PARAMETERS, Settings

# What postconf cannot know or makes itself.
MACHINE_MADE = {name for name, row in PARAMETERS.items() if row.kind == "fixed"}
MACHINE_MADE |= {"myhostname", "mydomain"}


@pytest.mark.postfix
def test_every_default_is_the_genuine_one(postconf):
    ours = {
        name: row.default
        for name, row in PARAMETERS.items()
        if name not in MACHINE_MADE
    }
    # Named one by one: postconf lists virtual_maps only when it is asked for.
    genuine = dict(line.split(" =", 1) for line in postconf("-d", *ours))
    assert {name: value.strip() for name, value in genuine.items()} == ours


@pytest.mark.postfix
def test_every_name_of_virtual_is_known(postconf):
    genuine = {line.split(" =", 1)[0] for line in postconf("-d")}
    virtual = {name for name in genuine if name.startswith("virtual_")}
    assert virtual <= PARAMETERS.keys() | OTHER_VIRTUAL_NAMES
    assert genuine >= OTHER_VIRTUAL_NAMES


def test_no_name_is_both_used_and_unused():
    assert not PARAMETERS.keys() & OTHER_VIRTUAL_NAMES


def test_settings_are_frozen_and_have_one_field_for_each_row():
    assert [field.name for field in dataclasses.fields(Settings)] == list(PARAMETERS)
    assert Settings.__dataclass_params__.frozen


@pytest.mark.parametrize("row", PARAMETERS.values(), ids=list(PARAMETERS))
def test_every_row_has_a_one_line_meaning(row):
    assert row.meaning.endswith(".")
    assert "\n" not in row.meaning
