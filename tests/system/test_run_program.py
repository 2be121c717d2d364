"""Other programs are run, and do not hold up who runs them."""

from __future__ import annotations

import pytest

from postvirt.system.run_program import Done, output_of, run_program


def test_what_a_program_prints() -> None:
    script = "cat; echo out; echo err >&2; exit 3"
    assert run_program(["sh", "-c", script]) == Done(3, b"out\n", b"err\n")
    assert output_of(["sh", "-c", script], patience_seconds=60) == b"out\n"


def test_its_environment_may_be_another_one() -> None:
    done = run_program(["/bin/sh", "-c", "echo $A"], environment={"A": "b"})
    assert done.output == b"b\n"


def test_a_program_that_hangs_or_is_missing() -> None:
    with pytest.raises(TimeoutError):
        run_program(["sleep", "60"], patience_seconds=0.01)
    with pytest.raises(FileNotFoundError):
        run_program(["/no/such/program"])
    assert output_of(["sleep", "60"], patience_seconds=0.01) == b""
    assert output_of(["/no/such/program"], patience_seconds=1) == b""
