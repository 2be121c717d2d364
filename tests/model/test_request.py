"""The numbers of the delivery request protocol."""

from postvirt.model.request import PROBE_FLAGS, TRACE_FLAGS, RequestFlag
from tests.harness.times import moment


def test_flags_have_the_numbers_of_the_protocol():
    assert {flag.name: flag.value for flag in RequestFlag} == {
        "SUCCESS": 1,
        "BOUNCE": 2,
        "MTA_VRFY": 256,
        "USR_VRFY": 512,
        "RECORD": 1024,
        "REC_DLY_SENT": 8192,
    }


def test_probes_are_traced_and_crossing_off_is_not():
    assert PROBE_FLAGS == 256 + 512
    assert TRACE_FLAGS == 256 + 512 + 1024 + 8192


def test_unknown_flags_are_kept():
    assert RequestFlag(3 | 4096).value == 4099
    assert RequestFlag(3 | 4096) & TRACE_FLAGS == RequestFlag(0)


def test_a_time_that_was_not_set_is_zero():
    assert moment(0, 0) == 0
