"""Wire bytes become text and come back unchanged."""

from hypothesis import given
from hypothesis import strategies as st

from postvirt.model.text import text, wire
from tests.harness.decoding import fuzzed


@given(st.binary())
@fuzzed
def test_bytes_survive_the_way_through_text(data):
    assert wire(text(data)) == data


def test_utf8_is_readable_and_the_rest_is_kept():
    assert text("é".encode()) == "é"
    assert text(b"\xe9") == "\udce9"
