from __future__ import annotations

import errno
import os

import pytest

from postvirt.mailbox.errno_dsn import PLACE, WRITE, DeliveryFailedError, step

ALWAYS = {
    errno.EAGAIN: "4.2.0",
    errno.ESTALE: "4.2.0",
    errno.ENOSPC: "4.3.0",
    errno.EDQUOT: "5.2.2",
    errno.EFBIG: "5.2.2",
}


@pytest.mark.parametrize(("default", "code"), [(PLACE, "4.2.0"), (WRITE, "4.3.0")])
def test_an_error_has_its_code_or_that_of_the_step(default: str, code: str) -> None:
    """Every errno there is, against mbox_dsn() and its default."""
    for number in errno.errorcode:
        with pytest.raises(DeliveryFailedError) as caught, step(default, "doing"):
            raise OSError(number, "python's own words")
        assert caught.value.errno == number
        assert caught.value.dsn.status == ALWAYS.get(number, code)
        assert caught.value.dsn.reason == f"doing: {os.strerror(number)}"


def test_an_error_without_a_number_still_has_a_reason() -> None:
    with pytest.raises(DeliveryFailedError) as caught, step(WRITE, "doing"):
        raise OSError("no number")
    assert caught.value.dsn.status == "4.3.0"
    assert caught.value.dsn.reason == "doing: Input/output error"


def test_what_is_no_system_error_passes() -> None:
    with pytest.raises(RuntimeError), step(WRITE, "doing"):
        raise RuntimeError


def test_success_passes() -> None:
    with step(WRITE, "doing"):
        pass
